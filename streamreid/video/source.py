"""What a source of frames is, and how a camera URL becomes one."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from streamreid.clock import Clock
from streamreid.types import CameraId, Frame, TimeSource

SourceState = Literal["connecting", "live", "retrying", "misconfigured", "ended"]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known about a source.

    Attributes:
        shown: Its address without credentials.
        live: Whether it has no end.
        width: Pixels per row, None before the first frame of a live source.
        height: Number of rows, None before the first frame of a live source.
        fps: Declared frames a second, None if none is declared.
        time_source: Where capture times come from (for live sources: at the latest frame).
        note: What the user should know about its times, or an empty text.
    """

    shown: str
    live: bool
    width: int | None
    height: int | None
    fps: float | None
    time_source: TimeSource
    note: str = ""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How a source is doing; counts since it was opened.

    Attributes:
        state: `misconfigured` means that only a person can repair it (wrong password or path).
        frames: Frames decoded.
        skipped: Frames of a live source that were replaced by a newer one before they were read.
        decode_errors: Damaged packets.
        reconnects: Connections lost and tried again.
        last_error: Latest error without credentials, or an empty text.
        last_frame_monotonic_s: When the latest frame came, by the clock of the source; None
            before the first.
    """

    state: SourceState
    frames: int = 0
    skipped: int = 0
    decode_errors: int = 0
    reconnects: int = 0
    last_error: str = ""
    last_frame_monotonic_s: float | None = None


class FrameSource(Protocol):
    """An opened camera, file or scripted fake; read until it has ended, then close."""

    @property
    def info(self) -> SourceInfo:
        """What is known about the source."""

    @property
    def skipped(self) -> int:
        """Frames of a live source that were replaced by a newer one before they were read."""

    def status(self) -> SourceStatus:
        """How the source is doing."""

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None if none came in time or the source has ended.

        Args:
            timeout_s: Longest wait in seconds; a file never waits.

        Raises:
            SourceError: A file turned out to hold no frame that can be decoded.
        """

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames in capture order; stop at the end of a file.

        A live source reconnects inside and marks the new segment.
        """

    def close(self) -> None:
        """Release the source; safe to call twice, and from another thread."""


def open_source(
    url: str,
    *,
    camera_id: CameraId,
    clock: Clock,
    start_time_s: float | None = None,
    live: bool | None = None,
    folder_fps: float = 10.0,
    file_root: Path | None = None,
    rng: random.Random | None = None,
    healthy_after_s: float = 10.0,
) -> FrameSource:
    """Open a camera, a video file or a folder of pictures.

    A file is opened at once, so a bad one raises here. A live source returns at once and
    connects in its own thread for as long as it takes; `status()` tells how that goes.

    Args:
        url: rtsp, rtsps, http, https, udp, tcp, v4l2 or file URL, or a path.
        camera_id: Name of the camera.
        clock: Arrival times, waits and durations.
        start_time_s: Epoch seconds of a file's first frame; default: the container's creation
            time, else 1970-01-01T00:00:00Z. Ignored by live sources.
        live: For http(s): whether the end is a disconnect (default True).
        folder_fps: Pictures a second in a folder.
        file_root: When set, files must lie below this folder.
        rng: Jitter of the reconnects; default: seeded by the camera's name.
        healthy_after_s: Seconds of frames after which the waits between reconnects start anew.

    Returns:
        The source.

    Raises:
        ConfigError: The URL is not one that may be opened.
        SourceError: A file does not exist or is no video.
    """
    from streamreid.video.address import parse_address
    from streamreid.video.backoff import Backoff
    from streamreid.video.file_source import FileSource, FolderSource
    from streamreid.video.live_source import LiveSource

    address = parse_address(url, live=live, file_root=file_root)
    if address.live:
        jitter = rng if rng is not None else random.Random(camera_id)  # noqa: S311
        backoff = Backoff(jitter, healthy_after_s=healthy_after_s)
        return LiveSource(address, camera_id=camera_id, clock=clock, backoff=backoff)
    if address.kind == "folder":
        return FolderSource(
            address, camera_id=camera_id, clock=clock, start_time_s=start_time_s, fps=folder_fps
        )
    return FileSource(address, camera_id=camera_id, clock=clock, start_time_s=start_time_s)
