"""`streamreid topology`: what was learned about the ways between cameras."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamreid.tlift.transition import TransitionModel

Cameras = Annotated[Path, typer.Option("--cameras", "-c", help="The cams.yaml of the run.")]
_DEFAULT = Path("cams.yaml")


def register(app: typer.Typer) -> None:
    """Add the `topology` group to the application."""
    group = typer.Typer(help="Learned ways between cameras.", no_args_is_help=True)
    group.command("show")(show)
    group.command("export")(export)
    group.command("reset")(reset)
    group.command("freeze")(freeze)
    group.command("thaw")(thaw)
    app.add_typer(group, name="topology")


def show(
    cameras: Cameras = _DEFAULT,
    out: Annotated[
        Path | None, typer.Option(help="Also draw the graph with its histograms (PNG or SVG).")
    ] = None,
) -> None:
    """Show how long people take from one camera to the next, and from how many it was learned.

    Example: streamreid topology show --cameras cams.yaml --out topology.png
    """
    from rich.console import Console
    from rich.table import Table

    learned = _load(cameras)
    ways = _ways(learned)
    table = Table(title="from one camera to the next")
    for title in ("from", "to", "people", "typical", "10 % to 90 %", "at once"):
        table.add_column(title)
    for way in ways:
        table.add_row(
            way["from"],
            way["to"],
            f"{way['support']:.1f}",
            f"{way['typical_s']:.1f} s",
            f"{way['p10_s']:.1f} to {way['p90_s']:.1f} s",
            f"{100 * way['overlap_share']:.0f} %"
            + (" (views overlap)" if way["views_overlap"] else "")
            + (" (never at once)" if way["never_at_once"] else ""),
        )
    Console().print(table)
    if out is not None:
        _draw(learned, out)


def export(
    cameras: Cameras = _DEFAULT,
    out: Annotated[
        Path | None, typer.Option(help="JSON file; standard output when left out.")
    ] = None,
) -> None:
    """Write what was learned as JSON, histograms included.

    Example: streamreid topology export --cameras cams.yaml --out topology.json
    """
    import json

    from streamreid.errors import ConfigError
    from streamreid.tlift.histogram import CENTRES_S

    learned = _load(cameras)
    ways = _ways(learned)
    for way in ways:
        density = learned.passages.density(way["from"], way["to"], at_s=learned.at_s)
        way["density_per_s"] = [round(float(value), 8) for value in density]
    content = {"seconds": [round(float(value), 3) for value in CENTRES_S], "ways": ways}
    text = json.dumps(content, indent=1)
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text + "\n", "utf-8")
    except OSError as exc:
        raise ConfigError(f"--out {out} cannot be written: {exc.strerror}") from exc


def reset(
    cameras: Cameras = _DEFAULT,
    source: Annotated[str | None, typer.Option("--from", help="Only ways from this one.")] = None,
    target: Annotated[str | None, typer.Option("--to", help="Only ways to this one.")] = None,
) -> None:
    """Forget what was learned, for instance after a camera was moved; stop the run first.

    Example: streamreid topology reset --cameras cams.yaml --from lobby
    """
    from rich.console import Console

    from streamreid.clock import SystemClock
    from streamreid.config.load import load_config
    from streamreid.store.people import forget_transitions
    from streamreid.store.rows import RunInfo
    from streamreid.store.writer import open_store

    config = load_config(cameras)
    _check_names(set(config.camera_ids), source, target)
    with open_store(
        config.store.path, run=RunInfo(), clock=SystemClock(), owner="topology reset"
    ) as writer:
        count = forget_transitions(writer, source, target)
        writer.audit("operator", "topology.reset", {"from": source, "to": target, "ways": count})
    Console().print(f"{count} ways between cameras were forgotten", highlight=False)


def freeze(cameras: Cameras = _DEFAULT) -> None:
    """Keep what was learned as it is, for instance before an unusual day; it stays in use.

    Example: streamreid topology freeze --cameras cams.yaml
    """
    _set_frozen(cameras, frozen=True)


def thaw(cameras: Cameras = _DEFAULT) -> None:
    """Go on learning after `freeze`.

    Example: streamreid topology thaw --cameras cams.yaml
    """
    _set_frozen(cameras, frozen=False)


def _set_frozen(cameras: Path, *, frozen: bool) -> None:
    """Ask the running matcher, or change the store at rest."""
    from rich.console import Console

    from streamreid.clock import SystemClock
    from streamreid.config.load import load_config
    from streamreid.control import request, socket_path
    from streamreid.errors import AssociationError
    from streamreid.runtime.topology_desk import freeze_at_rest
    from streamreid.store.rows import RunInfo
    from streamreid.store.writer import open_store

    config = load_config(cameras)
    verb = "freeze" if frozen else "thaw"
    if socket_path(config.resolved_run_dir, "matcher").exists():
        request(config.resolved_run_dir, f"topology.{verb}")
    elif not config.store.path.exists():
        raise AssociationError(f"there is no store at '{config.store.path}'; run streamreid first")
    else:
        clock = SystemClock()
        with open_store(
            config.store.path, run=RunInfo(), clock=clock, owner=f"topology {verb}"
        ) as writer:
            freeze_at_rest(writer, frozen, at_s=clock.now_s())
    said = "transition times stay as they are" if frozen else "transition times are learned again"
    Console().print(said, highlight=False)


@dataclass(frozen=True, slots=True)
class _Learned:
    """What a store knows about times.

    Attributes:
        any_two: Between any two tracks of one person.
        passages: From one sighting of a person to the next.
        at_s: When it learned last, epoch seconds.
    """

    any_two: "TransitionModel"
    passages: "TransitionModel"
    at_s: float


def _load(cameras: Path) -> _Learned:
    """What the store of a configuration has learned."""
    from streamreid.config.load import load_config
    from streamreid.store.reader import open_reader
    from streamreid.tlift.transition import TransitionModel
    from streamreid.types import CameraId

    config = load_config(cameras)
    with open_reader(config.store.path) as reader:
        rows = reader.transitions()
    known = [(CameraId(one), CameraId(other)) for one, other in config.topology.overlaps]
    models = TransitionModel(overlaps=known), TransitionModel(overlaps=known)
    for row in rows:
        # Stores of earlier versions did not tell the two apart.
        for model, blob in zip(models, (row.histogram, row.passages or row.histogram), strict=True):
            model.load(row.from_camera_id, row.to_camera_id, blob, updated_at_s=row.updated_at_s)
    return _Learned(*models, max((row.updated_at_s for row in rows), default=0.0))


def _ways(learned: _Learned) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    model, passages, at_s = learned.any_two, learned.passages, learned.at_s
    for source, target in model.pairs():
        share = model.overlap_share(source, target, at_s=at_s)
        found.append(
            {
                "from": source,
                "to": target,
                "support": passages.support(source, target, at_s=at_s),
                "median_s": passages.quantile_s(source, target, 0.5, at_s=at_s),
                "typical_s": passages.typical_s(source, target, at_s=at_s),
                "p10_s": passages.quantile_s(source, target, 0.1, at_s=at_s),
                "p90_s": passages.quantile_s(source, target, 0.9, at_s=at_s),
                "overlap_share": share,
                "views_overlap": model.views_overlap(source, target),
                "never_at_once": model.never_at_once(source, target, at_s=at_s),
            }
        )
    return found


def _check_names(known: set[Any], *names: str | None) -> None:
    from streamreid.errors import ConfigError

    for name in names:
        if name is not None and name not in known:
            raise ConfigError(
                f"there is no camera '{name}' in cams.yaml; it has {', '.join(sorted(known))}"
            )


def _draw(learned: _Learned, out: Path) -> None:
    """The camera graph on the left, one histogram per way on the right."""
    import math

    from matplotlib.figure import Figure

    from streamreid.errors import ConfigError
    from streamreid.tlift.histogram import CENTRES_S

    ways = [way for way in _ways(learned) if way["support"] > 0]
    names = sorted({way[end] for way in ways for end in ("from", "to")})
    shown = sorted(ways, key=lambda way: -way["support"])[:12]
    figure = Figure(figsize=(12, 6), layout="constrained")
    columns = figure.add_gridspec(1, 2)
    graph = figure.add_subplot(columns[0])
    place = {
        name: (math.cos(2 * math.pi * k / len(names)), math.sin(2 * math.pi * k / len(names)))
        for k, name in enumerate(names)
    }
    most = max((way["support"] for way in ways), default=1.0)
    for way in ways:
        if way["from"] != way["to"]:
            graph.annotate(
                "",
                xy=place[way["to"]],
                xytext=place[way["from"]],
                arrowprops={
                    "arrowstyle": "->",
                    "linewidth": 0.5 + 3 * way["support"] / most,
                    "connectionstyle": "arc3,rad=0.12",
                    "alpha": 0.6,
                },
            )
    for name, (x, y) in place.items():
        graph.text(x, y, name, ha="center", va="center", bbox={"boxstyle": "round", "fc": "white"})
    graph.set_xlim(-1.4, 1.4)
    graph.set_ylim(-1.4, 1.4)
    graph.set_axis_off()
    cells = columns[1].subgridspec(max(math.ceil(len(shown) / 2), 1), 2)
    for number, way in enumerate(shown):
        axes = figure.add_subplot(cells[number // 2, number % 2])
        density = learned.passages.density(way["from"], way["to"], at_s=learned.at_s)
        axes.plot(CENTRES_S, density)
        limit = max(60.0, 2 * abs(way["p90_s"]))
        axes.set_xlim(-limit / 4, limit)
        axes.set_title(f"{way['from']} to {way['to']}: {way['typical_s']:.0f} s", fontsize=8)
        axes.tick_params(labelsize=6)
    try:
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as exc:
        raise ConfigError(f"--out {out} cannot be written: {exc}") from exc
