"""`streamreid eval tracks`: IDF1, HOTA and MOTA of a store or of text files against the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamreid.cli.eval_options import JsonFile, check_json_file, is_stdout, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from streamreid.cli.store_tracks import FrameClock
    from streamreid.evaluation.track_files import TrackBoxes
    from streamreid.evaluation.tracking_metrics import TrackingReport, TrackingResult
    from streamreid.types import CameraId


def register(group: typer.Typer) -> None:
    """Add `tracks` to the `eval` group."""
    group.command("tracks")(tracks)


def tracks(
    found: Annotated[
        Path,
        typer.Argument(
            help="A store, a MOT text, a folder of MOT texts named <camera>.txt, or AI-City text."
        ),
    ],
    truth: Annotated[
        Path,
        typer.Option(
            "--truth",
            "-t",
            help="MOT text, a folder of <camera>.gt.txt (such as that of a drawn scene), or "
            "AI-City text.",
        ),
    ],
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="Frames a second of the truth; needed for a store without truth.json."
        ),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            help="CAMERA=TIME of frame 1 (ISO 8601), repeatable; 1970-01-01T00:00:00Z if left out."
        ),
    ] = None,
    detect_fps: Annotated[
        float, typer.Option(min=0.01, help="Detections a second of the run that made the store.")
    ] = 5.0,
    json_file: JsonFile = None,
) -> None:
    """Judge tracks and identities against the truth, in each camera and over all of them.

    A store is compared at the frames that were given to its detector.

    Example: streamreid eval tracks demo/streamreid.sqlite --truth demo
    """
    from rich.console import Console

    from streamreid.evaluation.tracking_metrics import evaluate_tracks

    check_json_file(json_file)
    true = read_truth_boxes(truth)
    if _is_store(found):
        clocks = _clocks(truth, true, fps, start or [])
        boxes, true = _from_store(found, true, clocks, detect_fps)
        report = evaluate_tracks(
            true, boxes, seconds=lambda camera, frame: clocks[camera].seconds(frame)
        )
    else:
        report = evaluate_tracks(true, _read_found(found, true))
    write_json(json_file, _figures(report))
    if not is_stdout(json_file):
        Console().print(results_table(report))


def read_truth_boxes(path: Path) -> "dict[CameraId, TrackBoxes]":
    """Read truth of any kind: a folder of MOT texts, one MOT text, or AI-City text.

    Raises:
        DatasetError: If it is none of them.
    """
    from streamreid.evaluation.track_files import is_ai_city, read_ai_city, read_mot
    from streamreid.evaluation.track_files import read_mot_folder as read_folder
    from streamreid.types import CameraId

    if path.is_dir():
        return read_folder(path, truth=True)
    if is_ai_city(path):
        return read_ai_city(path)
    name = path.name.removesuffix(".txt").removesuffix(".gt").removesuffix("_gt")
    return {CameraId(name): read_mot(path, truth=True)}


def results_table(report: "TrackingReport") -> "Table":
    """The report as a table; rates in per cent."""
    from rich.table import Table

    table = Table(title="Tracks against the truth, per cent (IoU 0.5)", padding=(0, 1, 0, 0))
    table.add_column("Camera")
    for name in ("IDF1", "HOTA", "MOTA", "IDP", "IDR", "Switches", "Ids/true"):
        table.add_column(name, justify="right", no_wrap=True)
    for camera, result in report.cameras.items():
        table.add_row(camera, *_cells(result))
    table.add_section()
    if len(report.cameras) > 1:
        table.add_row("each alone", *_cells(report.single))
        table.add_row("over cameras", *_cells(report.multi), style="bold")
    return table


def _cells(result: "TrackingResult") -> list[str]:
    rates = (result.idf1, result.hota, result.mota, result.idp, result.idr)
    identities = f"{result.found_identities}/{result.truth_identities}"
    return [*(f"{100.0 * rate:.1f}" for rate in rates), str(result.switches), identities]


def _is_store(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(15) == b"SQLite format 3"
    except OSError:
        return False


def _read_found(path: Path, truth: "Mapping[CameraId, TrackBoxes]") -> "dict[CameraId, TrackBoxes]":
    from streamreid.evaluation.track_files import (
        is_ai_city,
        read_ai_city,
        read_mot,
        read_mot_folder,
    )

    if path.is_dir():
        return read_mot_folder(path)
    if is_ai_city(path):
        return read_ai_city(path)
    if len(truth) == 1:
        # One file against one file: their names need not agree.
        return {next(iter(truth)): read_mot(path)}
    from streamreid.types import CameraId

    return {CameraId(path.name.removesuffix(".txt")): read_mot(path)}


def _clocks(
    path: Path, truth: "Mapping[CameraId, TrackBoxes]", fps: float | None, starts: list[str]
) -> "dict[CameraId, FrameClock]":
    from streamreid.cli.store_tracks import FrameClock
    from streamreid.errors import ConfigError
    from streamreid.simulation.truth import TRUTH_FILE, read_truth

    if fps is None and path.is_dir() and (path / TRUTH_FILE).exists():
        scene = read_truth(path)
        return {
            camera: FrameClock(start_s, scene.fps) for camera, start_s in scene.started_at_s.items()
        }
    if fps is None:
        raise ConfigError(
            f"{path} does not say how many frames a second the truth has: add --fps, such as "
            "--fps 25"
        )
    given = dict(_start(text) for text in starts)
    unknown = sorted(set(given) - set(truth))
    if unknown:
        raise ConfigError(
            f"--start names {', '.join(unknown)}; the truth has {', '.join(sorted(truth))}"
        )
    return {camera: FrameClock(given.get(camera, 0.0), fps) for camera in truth}


def _start(text: str) -> "tuple[CameraId, float]":
    import datetime

    from streamreid.errors import ConfigError
    from streamreid.types import CameraId

    name, _, value = text.partition("=")
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(
            f"--start {text!r}: expected CAMERA=TIME such as lobby=2026-01-05T08:00:00Z"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return CameraId(name), moment.timestamp()


def _from_store(
    path: Path,
    truth: "Mapping[CameraId, TrackBoxes]",
    clocks: "Mapping[CameraId, FrameClock]",
    detect_fps: float,
) -> "tuple[dict[CameraId, TrackBoxes], dict[CameraId, TrackBoxes]]":
    from streamreid.cli.store_tracks import looked_at, store_boxes
    from streamreid.store.reader import open_reader

    with open_reader(path) as reader:
        boxes = store_boxes(reader, clocks)
    seen = {camera: looked_at(true, clocks[camera], detect_fps) for camera, true in truth.items()}
    return boxes, seen


def _figures(report: "TrackingReport") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "cameras": {camera: asdict(result) for camera, result in report.cameras.items()},
        "single": asdict(report.single),
        "multi": asdict(report.multi),
    }
