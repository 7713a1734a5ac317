"""`streamreid eval reid`: Rank-k and mAP of re-identification weights on a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    is_stdout,
    write_json,
)

if TYPE_CHECKING:
    import torch

    from streamreid.evaluation.reid import Matcher, ReidEvaluation

_BROKEN_SHOWN = 5
# Below this, measuring which back-end runs the network fastest takes longer than it saves.
_MEASURED_FROM = 500


def register(group: typer.Typer) -> None:
    """Add `reid` to the `eval` group."""
    group.command("reid")(reid)


def reid(
    dataset: Annotated[
        str,
        typer.Option(
            help="market1501, cuhk03_np_detected, cuhk03_np_labeled, msmt17, clonedperson or "
            "folder (names like 0002_c1_03.png)."
        ),
    ],
    root: Root,
    weights: Weights = "default",
    query: Query = None,
    gallery: Gallery = None,
    clock: Annotated[Path | None, typer.Option(help=CLOCK_HELP)] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="Also k-reciprocal re-ranking.")] = False,
    tlift: Annotated[bool, typer.Option("--tlift", help="Also temporal lifting.")] = False,
    published: Annotated[
        bool,
        typer.Option("--published", help="Lift with the paper's parameters (tau 100 s, K 10)."),
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Everything in float32, several times slower.")
    ] = False,
    device: Device = "auto",
    json_file: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with plot, best and worst queries here.")
    ] = None,
) -> None:
    """Rank a gallery for every query and print Rank-k and mAP.

    Gallery images of the query's person in the query's own camera do not count, as on Market-1501.

    Example: streamreid eval reid --dataset market1501 --root Market-1501 --rerank --tlift
    """
    from streamreid.cli.progress import progress_bars
    from streamreid.evaluation.datasets import load
    from streamreid.evaluation.reid import evaluate_reid
    from streamreid.evaluation.reid_report import write_report

    data = load(
        dataset, root, query=query, gallery=gallery, clock=clock, required=("query", "gallery")
    )
    _check_outputs(json_file, report)
    images = len(data.query) + len(data.gallery)
    matcher, dtype = _matcher(weights, device, plain=exact or images < _MEASURED_FROM, exact=exact)
    with progress_bars() as bars:
        evaluation = evaluate_reid(
            data,
            matcher,
            rerank=rerank,
            lift=tlift,
            published=published,
            dtype=dtype,
            progress=bars,
        )
    write_json(json_file, evaluation.summary())
    page = write_report(report, evaluation) if report is not None else None
    _show(evaluation, page, to_stderr=is_stdout(json_file))


def _matcher(
    weights: str, device: str, *, plain: bool, exact: bool
) -> "tuple[Matcher, torch.dtype]":
    """Load weights, choose how to run the network and how to store its maps."""
    import torch

    from streamreid.evaluation.reid import Matcher
    from streamreid.reid.extract import FeatureExtractor, choose_runner
    from streamreid.reid.qaconv import fold
    from streamreid.reid.weights import load_model

    model = load_model(weights, device=device)
    target = next(model.network.parameters()).device
    choice = choose_runner(
        model.network,
        size=model.input_size,
        device=target,
        backend="torch-fp32" if plain else "auto",
    )
    embed = FeatureExtractor(choice.runner, model.input_size)
    fastest = torch.int8 if target.type == "cpu" else torch.float16
    matcher = Matcher(model.name, model.digest, embed, fold(model.head), model.calibration)
    return matcher, torch.float32 if exact else fastest


def _check_outputs(json_file: Path | None, report: Path | None) -> None:
    """Refuse outputs that cannot be written before minutes of work are spent."""
    from streamreid.errors import ConfigError

    check_json_file(json_file)
    if report is not None and report.exists() and not report.is_dir():
        raise ConfigError(f"--report {report} is a file; give a folder")


def _show(evaluation: "ReidEvaluation", page: Path | None, *, to_stderr: bool) -> None:
    """Print the table, then what a reader must know about it."""
    from rich.console import Console
    from rich.table import Table

    from streamreid.evaluation.reid_report import STAGE_TITLES

    console = Console(stderr=to_stderr)
    summary = evaluation.summary()
    table = Table(title=f"{evaluation.weights} on {evaluation.dataset}, per cent")
    table.add_column("stage", no_wrap=True)
    for title in ("Rank-1", "Rank-5", "Rank-10", "Rank-20", "mAP", "seconds"):
        table.add_column(title, justify="right")
    for name, figures in summary["results"].items():
        cells = [f"{100 * value:.1f}" for value in figures.values()]
        table.add_row(STAGE_TITLES[name], *cells, f"{evaluation.stages[name].seconds:.1f}")
    console.print(table)
    skipped = summary["queries"] - summary["queries_counted"]
    console.print(
        f"{summary['queries']} queries ({skipped} without a match in another camera are not "
        f"counted), {summary['gallery']} gallery images; clock: {evaluation.clock}; "
        f"features {evaluation.seconds['features']:.1f} s, "
        f"scores {evaluation.seconds['scores']:.1f} s",
        highlight=False,
    )
    if evaluation.broken:
        console.print(f"left out because they cannot be read: {len(evaluation.broken)} images")
        for item in evaluation.broken[:_BROKEN_SHOWN]:
            console.print(f"  {item.reason}", highlight=False, markup=False)
        if len(evaluation.broken) > _BROKEN_SHOWN:
            more = "in the JSON file and the report" if page else "with --json or --report"
            console.print(f"  and {len(evaluation.broken) - _BROKEN_SHOWN} more {more}")
    if page is not None:
        console.print(f"report: {page}", highlight=False, markup=False, soft_wrap=True)
