"""The work of `streamreid check`: opening cameras side by side, detecting, telling the result."""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from streamreid.clock import Clock, SystemClock
from streamreid.config import CameraConfig, Config, load_config
from streamreid.detection.detector import Detector
from streamreid.detection.select import DetectorPlan, build_detector, plan_detector
from streamreid.errors import StoreError, StreamreidError
from streamreid.types import CameraId, Detections, Frame
from streamreid.video.source import FrameSource, SourceInfo, open_source
from streamreid.video.zones import Zones

_MOTION_FRAMES = 30
_AT_ONCE = 8
_POLL_S = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class CameraCheck:
    """What one camera answered.

    Attributes:
        camera_id: Name of the camera.
        shown: Its address without credentials.
        error: Why there is no picture, or an empty text.
        info: What is known about the source; None when it could not even be opened.
        frames: Frames with masked parts black, in order; own memory.
        people: Detections in the last frame; None before they were looked for.
    """

    camera_id: CameraId
    shown: str
    error: str = ""
    info: SourceInfo | None = None
    frames: tuple[Frame, ...] = ()
    people: Detections | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a picture."""
        return not self.error


def run_check(path: Path, *, sheet: Path, wait_s: float, as_json: bool) -> int:
    """Check a configuration file, its store and its cameras.

    Args:
        path: The configuration.
        sheet: Where the pictures go.
        wait_s: Longest wait for a camera's picture in seconds.
        as_json: Print JSON instead of a table.

    Returns:
        The exit code: 0, or 3 when a camera gave no picture.

    Raises:
        ConfigError: The file is wrong.
        StoreError: The store's folder cannot be written.
    """
    console = Console(stderr=True)
    config = load_config(path)
    _check_store(config.store.path)
    settings = config.detector
    plan = plan_detector(
        settings.kind,
        settings.weights,
        device=settings.device,
        sha256=settings.sha256,
        allow_download=settings.download,
        backend=None if settings.backend == "auto" else settings.backend,
        threads=settings.threads,
        report=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
    )
    with console.status(f"opening {len(config.cameras)} cameras, at most {wait_s:g} s each"):
        checks = open_cameras(
            config, count=_MOTION_FRAMES if plan.kind == "motion" else 1, wait_s=wait_s
        )
        checks = detect_people(checks, plan, config)
    _write_sheet(checks, sheet)
    _tell(checks, plan, sheet, as_json=as_json)
    return 0 if all(check.ok for check in checks) else 3


def open_cameras(config: Config, *, count: int, wait_s: float) -> list[CameraCheck]:
    """Open every camera, several at a time, and take its first frames.

    Args:
        config: The configuration.
        count: Frames wanted per camera.
        wait_s: Longest wait per camera in seconds.
    """
    clock = SystemClock()
    with ThreadPoolExecutor(min(_AT_ONCE, len(config.cameras))) as pool:
        waiting = [
            pool.submit(_open_one, name, config.camera(name), count, wait_s, clock)
            for name in config.camera_ids
        ]
        return [one.result() for one in waiting]


def detect_people(
    checks: Sequence[CameraCheck], plan: DetectorPlan, config: Config
) -> list[CameraCheck]:
    """Look for people in the frames of every camera that answered."""
    shared = _build(plan, config) if plan.kind == "yolo" else None
    done = []
    for check in checks:
        if not check.frames:
            done.append(check)
            continue
        # A detector by motion learns one camera's background.
        detector = shared or _build(plan, config)
        camera = config.camera(check.camera_id)
        zones = Zones(mask=camera.mask, roi=camera.roi)
        # One by one: as they would come from a camera.
        found = [detector.detect([frame])[0] for frame in check.frames]
        done.append(replace(check, people=zones.keep(found[-1])))
    return done


def _build(plan: DetectorPlan, config: Config) -> Detector:
    return build_detector(
        plan,
        confidence=float(config.detector.confidence),
        device=config.detector.device,
        threads=config.detector.threads,
    )


def _open_one(
    camera_id: CameraId, camera: CameraConfig, count: int, wait_s: float, clock: Clock
) -> CameraCheck:
    check = CameraCheck(camera_id, camera.url.safe)
    try:
        source = open_source(
            camera.url.reveal(),
            camera_id=camera_id,
            clock=clock,
            start_time_s=camera.start_time_s,
            live=camera.live,
        )
        try:
            frames = _take(source, count, clock.monotonic_s() + wait_s, clock)
            error = "" if frames else _why(source, wait_s)
            return replace(
                check,
                error=error,
                info=source.info,
                frames=tuple(_own(Zones(mask=camera.mask).hide(frame)) for frame in frames),
            )
        finally:
            source.close()
    except StreamreidError as error:
        return replace(check, error=str(error))


def _take(source: FrameSource, count: int, until_s: float, clock: Clock) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < count and clock.monotonic_s() < until_s:
        frame = source.read(_POLL_S)
        if frame is not None:
            frames.append(frame)
        elif source.status().state in ("ended", "misconfigured"):
            break
    return frames


def _why(source: FrameSource, wait_s: float) -> str:
    status = source.status()
    return status.last_error or f"no picture within {wait_s:g} s ({status.state})"


def _own(frame: Frame) -> Frame:
    """The frame in memory of its own: the decoder's goes when the source is closed."""
    return replace(frame, y=np.array(frame.y), u=np.array(frame.u), v=np.array(frame.v))


def _check_store(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist; create it or change store.path")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise StoreError(f"{path} cannot be written; check its rights or change store.path")


def _write_sheet(checks: Sequence[CameraCheck], sheet: Path) -> None:
    from streamreid.cli.check_sheet import draw_sheet
    from streamreid.cli.demo_sheet import write_sheet

    write_sheet(
        draw_sheet(
            [
                (check.camera_id, check.frames[-1] if check.frames else None, check.people)
                for check in checks
            ],
            errors={check.camera_id: check.error for check in checks},
        ),
        sheet,
    )


def _tell(checks: Sequence[CameraCheck], plan: DetectorPlan, sheet: Path, *, as_json: bool) -> None:
    console = Console()
    if as_json:
        answer = {
            "detector": {"kind": plan.kind, "backend": plan.backend, "sha256": plan.sha256},
            "sheet": str(sheet),
            "cameras": [_row(check) for check in checks],
        }
        console.print_json(json.dumps(answer))
        return
    table = Table("camera", "state", "size", "fps", "times", "people", "note")
    for check in checks:
        row = {key: "" if value is None else str(value) for key, value in _row(check).items()}
        size = f"{row['width']}x{row['height']}" if check.ok else ""
        state = "ok" if check.ok else "failed"
        note = " ".join(text for text in (row["error"], row["note"]) if text)
        table.add_row(
            row["camera"], state, size, row["fps"], row["times"], row["people"], _plain(note)
        )
    console.print(table)
    failed = sum(not check.ok for check in checks)
    verdict = f"{failed} of {len(checks)} cameras failed" if failed else "every camera answers"
    console.print(f"{verdict}; pictures: {sheet}", markup=False, highlight=False, soft_wrap=True)


def _row(check: CameraCheck) -> Mapping[str, str | int | float | None]:
    info, frame = check.info, check.frames[-1] if check.frames else None
    return {
        "camera": check.camera_id,
        "url": check.shown,
        "ok": check.ok,
        "error": check.error,
        "width": frame.width if frame else None,
        "height": frame.height if frame else None,
        "fps": round(info.fps, 2) if info and info.fps else None,
        "times": info.time_source if info else None,
        "note": info.note if info else "",
        "people": None if check.people is None else len(check.people),
    }


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
