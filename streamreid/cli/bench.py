"""`streamreid bench`: what this machine can do, step by step."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamreid.cli.bench_table import Table

Threads = Annotated[int, typer.Option(min=1, help="Threads to use.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds in which all variants take turns.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda: auto is a GPU when there is one.")]
Weights = Annotated[str, typer.Option(help="Name or path of re-identification weights.")]


def register(app: typer.Typer) -> None:
    """Add `bench` to the application."""
    bench = typer.Typer(
        no_args_is_help=True,
        help="Measure this machine.\n\nExample: streamreid bench pipeline",
    )
    bench.command("matcher")(matcher)
    bench.command("features")(features)
    bench.command("gallery")(gallery)
    bench.command("pipeline")(pipeline)
    app.add_typer(bench, name="bench")


def matcher(
    channels: Annotated[list[int], typer.Option(min=1, help="Channels of the maps.")] = [128],  # noqa: B006
    threads: Threads = 1,
    maps: Annotated[int, typer.Option(min=1, help="Gallery maps per query.")] = 100,
    rounds: Rounds = 7,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Pairs scored per second by every back-end, beside the published way.

    Example: streamreid bench matcher --channels 128 --channels 512
    """
    from streamreid.cli.bench_gpu import gpu_table
    from streamreid.cli.bench_matcher import matcher_table

    _use_threads(threads)
    chosen = _device(device)
    with _told() as tell:
        if chosen == "cpu":
            table = matcher_table(
                channels=channels, threads=threads, maps=maps, rounds=rounds, progress=tell
            )
        else:
            table = gpu_table(
                channels=channels,
                galleries=(max(maps, 10_000),),
                rounds=rounds,
                device=chosen,
                progress=tell,
            )
    _show("matcher", [table], as_json=as_json)


def features(
    weights: Weights = "default",
    threads: Threads = 1,
    rounds: Rounds = 5,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Time per crop of the feature network by every back-end.

    Example: streamreid bench features --threads 2
    """
    from streamreid.cli.bench_features import features_table

    _use_threads(threads)
    with _told() as tell:
        table = features_table(
            weights=weights,
            device=_device(device),
            threads=threads,
            rounds=rounds,
            progress=tell,
        )
    _show("features", [table], as_json=as_json)


def gallery(
    size: Annotated[list[int], typer.Option(min=1, help="Crops in the gallery.")] = [1_000, 20_000],  # noqa: B006
    shortlist: Annotated[int, typer.Option(min=1, help="Crops scored exactly.")] = 100,
    hours: Annotated[float, typer.Option(min=0.0, help="Simulated hours of rolling.")] = 0.5,
    threads: Threads = 1,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Latency of a query in a full gallery, and a simulated rolling gallery.

    Example: streamreid bench gallery --size 20000 --hours 24
    """
    from streamreid.cli.bench_gallery import latency_table, rolling_table, shortlist_table
    from streamreid.gallery.build import choose_storage

    _use_threads(threads)
    chosen = _device(device)
    kept = choose_storage("auto", chosen)
    with _told() as tell:
        tables = [
            latency_table(sizes=size, k=shortlist, device=chosen, map_dtype=kept, progress=tell),
            shortlist_table(sizes=size, k=shortlist, device=chosen, progress=tell),
        ]
        if hours:
            tables.append(
                rolling_table(
                    hours=hours, k=shortlist, device=chosen, map_dtype=kept, progress=tell
                )
            )
    _show("gallery", tables, as_json=as_json)


def pipeline(
    video: Annotated[
        Path | None, typer.Option(exists=True, help="A clip like yours; default: a drawn one.")
    ] = None,
    people: Annotated[float, typer.Option(min=0.0, help="People in view of a camera.")] = 5.0,
    detect_fps: Annotated[float, typer.Option(min=0.1, help="Detections a second.")] = 5.0,
    gallery_crops: Annotated[int, typer.Option("--gallery", min=1, help="Gallery size.")] = 20_000,
    detector: Annotated[str, typer.Option(help="auto, yolo or motion.")] = "auto",
    detector_weights: Annotated[str, typer.Option(help="Detector weights.")] = "yolo26n.pt",
    weights: Weights = "default",
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """How many cameras this machine will hold, and what is the bottleneck.

    Example: streamreid bench pipeline --video entrance.mp4 --people 8
    """
    from streamreid.cli.bench_pipeline import Load, pipeline_table

    _use_threads(1)
    with _told() as tell:
        table = pipeline_table(
            Load(people=people, detect_fps=detect_fps, gallery=gallery_crops),
            cores=os.cpu_count() or 1,
            video=video,
            detector=detector,
            detector_weights=detector_weights,
            weights=weights,
            device=_device(device),
            progress=tell,
        )
    _show("pipeline", [table], as_json=as_json)


def _device(name: str) -> str:
    """The device that the matcher would take."""
    from streamreid.reid.device import choose_device

    return str(choose_device(name))


def _use_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


@contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """A spinner on stderr that says what is being measured."""
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update


def _show(name: str, tables: "list[Table]", *, as_json: bool) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    from streamreid.cli.bench_table import Report

    report = Report(name, tables)
    console = Console()
    if as_json:
        console.print(report.json(), soft_wrap=True, markup=False, highlight=False)
    elif console.is_terminal:
        console.print(Markdown(report.markdown()))
    else:
        console.print(report.markdown(), soft_wrap=True, markup=False, highlight=False)
