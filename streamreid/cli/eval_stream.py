"""`streamreid eval stream`: replay a data set with times as if live, and measure who is who."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamreid.cli.eval_options import (
    CLOCK_HELP,
    Device,
    Gallery,
    JsonFile,
    Query,
    Root,
    Weights,
    check_json_file,
    write_json,
)

if TYPE_CHECKING:
    from streamreid.cli.progress import Bars
    from streamreid.engine.coefficients import Coefficients
    from streamreid.evaluation.replay import StreamFigures
    from streamreid.evaluation.stream import Stage
    from streamreid.evaluation.tracklets import Tracklet
    from streamreid.gallery.local import LocalScorer

_DEFAULT_LAG_S = 60.0


def register(group: typer.Typer) -> None:
    """Add `stream` to the `eval` group."""
    group.command("stream")(stream)


def stream(
    dataset: Annotated[
        str, typer.Option(help="market1501 or folder (names like 0002_c1s1_000451_03.jpg).")
    ],
    root: Root,
    clock: Annotated[Path, typer.Option(help=CLOCK_HELP)],
    weights: Weights = "default",
    query: Query = None,
    gallery: Gallery = None,
    coefficients: Annotated[
        Path | None, typer.Option(help="Fitted coefficients instead of those of the weights.")
    ] = None,
    false_merge_rate: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of final links that may be wrong.")
    ] = 0.02,
    lag: Annotated[
        float, typer.Option(min=0.0, help="Seconds from the end of a track to its final decision.")
    ] = _DEFAULT_LAG_S,
    shuffles: Annotated[
        int, typer.Option(min=0, max=100, help="Also that many permutations of the times.")
    ] = 0,
    device: Device = "auto",
    json_file: JsonFile = None,
) -> None:
    """Replay query and gallery in order of time through the engine that `run` uses.

    Tracklets are images of one person in one camera with gaps up to ten seconds. Every mode is
    measured: appearance only, with co-occurrence, with learned transition times, with both.

    Example: streamreid eval stream --dataset market1501 --root Market-1501 --clock clock.csv
    """
    from streamreid.cli.progress import progress_bars
    from streamreid.evaluation.datasets import load
    from streamreid.evaluation.tracklets import tracklets_of
    from streamreid.gallery.build import build_scorer

    check_json_file(json_file)
    data = load(
        dataset, root, query=query, gallery=gallery, clock=clock, required=("query", "gallery")
    )
    tracklets = tracklets_of((*data.query, *data.gallery))
    scorer = build_scorer(weights, device=device)
    fitted = _coefficients(weights, coefficients, scorer)
    with progress_bars() as bars:
        stage = _stage(tracklets, scorer, bars, replays=4 + 2 * shuffles)
        wishes = {"lag_s": lag, "false_merge_rate": false_merge_rate}
        summary = _measure(stage, tracklets, fitted, wishes, shuffles)
    summary |= {"weights": weights, "weights_digest": scorer.weights_digest, "clock": data.clock}
    write_json(json_file, summary)


def _coefficients(weights: str, path: Path | None, scorer: "LocalScorer") -> "Coefficients":
    """Those that the user names, else those that came with the weights."""
    from streamreid.config.coefficients import read_coefficients, shipped_coefficients

    if path is not None:
        return read_coefficients(path)
    calibration = scorer.calibration
    return shipped_coefficients(
        weights,
        scorer.weights_digest,
        slope=calibration.scale if calibration else 1.0,
        offset=calibration.offset if calibration else 0.0,
    )


def _stage(
    tracklets: "list[Tracklet]", scorer: "LocalScorer", bars: "Bars", *, replays: int
) -> "Stage":
    """Embed the crops, or read them from the cache, and prepare the replays."""
    from streamreid.engine.settings import EngineSettings
    from streamreid.evaluation.crop_cache import cache_folder, embed_crops
    from streamreid.evaluation.stream import Stage

    crops_per_track = EngineSettings().crops_per_track
    total = sum(min(crops_per_track, len(tracklet.images)) for tracklet in tracklets)
    crops = embed_crops(
        tracklets,
        scorer,
        crops_per_track=crops_per_track,
        weights_digest=scorer.weights_digest,
        folder=cache_folder(),
        progress=bars.start("features", total),
    )
    tell = bars.start("replays", replays * len(tracklets))
    return Stage(scorer.empty_copy, crops, {}, progress=lambda _: tell(1))


def _measure(
    stage: "Stage",
    tracklets: "list[Tracklet]",
    fitted: "Coefficients",
    wishes: dict[str, Any],
    shuffles: int,
) -> dict[str, Any]:
    from streamreid.evaluation.stream import ablation, plain_figures, shuffled_ablation

    modes = ablation(stage, tracklets, fitted, wishes)
    _show(modes, len(tracklets), wishes["false_merge_rate"])
    summary: dict[str, Any] = {
        "tracklets": len(tracklets),
        "false_merge_rate": wishes["false_merge_rate"],
        "lag_s": wishes["lag_s"],
        "coefficients": fitted.fitted_on,
        "modes": {mode: plain_figures(figures) for mode, figures in modes.items()},
        "shuffled_times": {},
    }
    if shuffles:
        seeds = list(range(shuffles))
        summary["shuffled_times"] = shuffled_ablation(stage, tracklets, fitted, wishes, seeds)
    return summary


def _show(modes: "dict[str, StreamFigures]", tracklets: int, rate: float) -> None:
    """Print one row per mode."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{tracklets} tracklets, stated false-merge rate {100 * rate:g} %")
    table.add_column("mode")
    for title in ("pair P", "pair R", "pair F1", "B3 F1", "IDF1", "ids", "false links", "ECE"):
        table.add_column(title, justify="right")
    for mode, figures in modes.items():
        clusters = figures.clusters
        shares = (
            clusters.pair_precision,
            clusters.pair_recall,
            clusters.pair_f1,
            clusters.bcubed_f1,
            clusters.idf1,
        )
        table.add_row(
            mode,
            *(f"{100 * share:.1f} %" for share in shares),
            f"{clusters.identities} of {clusters.true_identities}",
            f"{100 * figures.false_link_rate:.1f} % of {figures.links}",
            f"{figures.calibration_error:.3f}",
        )
    Console(stderr=True).print(table)
