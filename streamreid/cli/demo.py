"""`streamreid demo`: the main job on a drawn scene with known truth; no file, no network needed."""

from pathlib import Path
from typing import Annotated

import typer

_DETECTORS = ("auto", "yolo", "motion")


def register(app: typer.Typer) -> None:
    """Add `demo`."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything.")] = Path(
        "streamreid-demo"
    ),
    detector: Annotated[
        str, typer.Option(help="auto, yolo or motion; auto is motion where no weights are at hand.")
    ] = "auto",
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a table.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="How people walk; clothes stay.")] = 0,
) -> None:
    """Draw seven people walking past four cameras, follow them, and compare with the truth.

    Two of the people are look-alikes, one walks against the stream, and each camera has its own
    light, colours, scale and noise. The pipeline is the one of `streamreid run`. It leaves a
    database, a picture sheet and a report.

    Example: streamreid demo --out demo
    """
    from streamreid.errors import ConfigError

    if detector not in _DETECTORS:
        raise ConfigError(f"--detector {detector!r}: use one of {', '.join(_DETECTORS)}")
    from streamreid.cli.demo_job import demo_job

    raise typer.Exit(demo_job(out, detector=detector, plain=plain, seed=seed))
