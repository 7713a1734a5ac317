"""`streamreid simulate`: camera networks with known truth, as visits, video or real crops."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamreid.simulation.network import Visit
    from streamreid.simulation.scenarios import Scenario

_NAMES = "plain, groups, look-alikes, uniforms, loops, clock-offsets or overlaps"

_Name = Annotated[str, typer.Option("--scenario", "-s", help=f"What is hard about it: {_NAMES}.")]
_Cameras = Annotated[int, typer.Option(min=2, max=64, help="Number of cameras.")]
_People = Annotated[int, typer.Option(min=1, help="Number of people.")]
_Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]
_Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")]


def register(app: typer.Typer) -> None:
    """Add the `simulate` group."""
    group = typer.Typer(
        help="Simulate a network of cameras with known truth, for tests of accuracy and load.",
        no_args_is_help=True,
    )
    group.command("visits")(visits)
    group.command("video")(video)
    group.command("crops")(crops)
    app.add_typer(group, name="simulate")


def visits(
    out: Annotated[Path, typer.Option("--out", "-o", help="The CSV to write.")],
    name: _Name = "plain",
    cameras: _Cameras = 4,
    people: _People = 200,
    seed: _Seed = 0,
) -> None:
    """Write who is in which camera, when: person, camera, enter_s, leave_s and more.

    Example: streamreid simulate visits --scenario groups --cameras 8 --out visits.csv
    """
    from streamreid.simulation.truth import write_visits

    _, found = _simulate(name, cameras, people, seed)
    write_visits(found, out)
    _say(f"wrote {len(found)} visits of {people} people to {out}")


def video(
    out: _Out,
    name: _Name = "plain",
    cameras: _Cameras = 4,
    people: _People = 12,
    seed: _Seed = 0,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, help="Cut every video after so many seconds.")
    ] = None,
    fps: Annotated[int, typer.Option(min=1, max=60, help="Frames a second.")] = 10,
    width: Annotated[int, typer.Option(min=160, max=3840, help="Pixels per row.")] = 640,
) -> None:
    """Draw the network as video: one file per camera, the truth, and a cams.yaml to run on.

    Example: streamreid simulate video --scenario look-alikes --people 8 --out scene
    """
    from streamreid.cli.progress import progress_bars
    from streamreid.simulation.network_scene import network_scene
    from streamreid.simulation.recording import CONFIG_FILE, record_scene

    chosen, found = _simulate(name, cameras, people, seed)
    scene = network_scene(
        chosen.network,
        found,
        seed=seed,
        duration_s=seconds,
        fps=fps,
        width=width // 2 * 2,
        height=round(width * 9 / 16) // 2 * 2,
    )
    with progress_bars() as bars:
        advance = bars.start("drawing", scene.frame_count * len(scene.cameras))
        truth = record_scene(scene, out, progress=lambda _: advance(1))
    _say(
        f"drew {len(truth.people)} people in {cameras} cameras, {scene.duration_s:.0f} s each; "
        f"run it: streamreid run --cameras {out / CONFIG_FILE}"
    )


def crops(
    root: Annotated[Path, typer.Option(help="Data set: a Market-like folder of labelled images.")],
    out: _Out,
    name: _Name = "plain",
    cameras: _Cameras = 4,
    people: _People = 200,
    seed: _Seed = 0,
    dataset: Annotated[str, typer.Option(help="Kind of the data set, as in eval reid.")] = "folder",
    gallery: Annotated[
        str | None, typer.Option(help="Folder or .txt list of the images, instead of the split.")
    ] = None,
    per_visit: Annotated[int, typer.Option(min=1, max=20, help="Most crops per visit.")] = 4,
) -> None:
    """Let people of a data set walk through the network: their crops at simulated times.

    The result is a Market-like folder with a clock for `streamreid eval stream`.

    Example: streamreid simulate crops --root Market-1501 --dataset market1501 --out walk
    """
    from streamreid.cli.progress import progress_bars
    from streamreid.evaluation.datasets import load
    from streamreid.simulation.crops import choose_crops, write_crops

    chosen, found = _simulate(name, cameras, people, seed)
    data = load(dataset, root, gallery=gallery, required=("gallery",))
    picked = choose_crops(
        found, chosen.network, (*data.gallery, *data.query), seed=seed, per_visit=per_visit
    )
    with progress_bars() as bars:
        advance = bars.start("copying", len(picked))
        write_crops(picked, found, chosen.network, out, progress=lambda _: advance(1))
    _say(f"wrote {len(picked)} crops of {len(found)} visits by {people} people to {out}")


def _simulate(
    name: str, cameras: int, people: int, seed: int
) -> "tuple[Scenario, tuple[Visit, ...]]":
    from typing import cast

    from streamreid.simulation.network import simulate_network
    from streamreid.simulation.scenarios import ScenarioName, scenario

    chosen = scenario(cast("ScenarioName", name), cameras=cameras, people=people, seed=seed)
    return chosen, simulate_network(chosen.network, chosen.crowd, seed=seed)


def _say(text: str) -> None:
    from rich.console import Console

    Console().print(text, markup=False, highlight=False, soft_wrap=True)
