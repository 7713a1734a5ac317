"""Live cameras: one thread decodes, keeps only the newest frame, and reconnects for ever."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from streamreid.clock import Clock
from streamreid.errors import SourceError
from streamreid.types import CameraId, Frame, TimeSource
from streamreid.video.address import SourceAddress
from streamreid.video.backoff import Backoff
from streamreid.video.capture_time import LiveTimeline
from streamreid.video.container import (
    OpenError,
    decode_packets,
    frame_rate,
    open_container,
    pts_seconds,
    realtime_seconds,
    translate_error,
)
from streamreid.video.planes import to_frame
from streamreid.video.source import SourceInfo, SourceStatus

SILENT_AFTER_S = 10.0
"""Packets without one decodable frame for this long count as a dead connection."""

_POLL_S = 0.5
_JOIN_S = 1.0


@dataclass(slots=True)
class _Shared:
    """What the decoder thread and the consumer share; only touched while `changed` is held."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    newest: Frame | None = None
    status: SourceStatus = field(default_factory=lambda: SourceStatus(state="connecting"))
    size: tuple[int, int] | None = None
    fps: float | None = None
    time_source: TimeSource = "arrival"
    stopping: bool = False


class LiveSource:
    """A camera that is read until it is closed.

    Args:
        address: The checked address.
        camera_id: Name of the camera.
        clock: Arrival times and durations.
        backoff: Waits between connections.
    """

    def __init__(
        self, address: SourceAddress, *, camera_id: CameraId, clock: Clock, backoff: Backoff
    ) -> None:
        self._address = address
        self._camera_id = camera_id
        self._clock = clock
        self._backoff = backoff
        self._timeline = LiveTimeline()
        self._shared = _Shared()
        self._index = 0
        self._thread = threading.Thread(target=self._run, name=f"decode-{camera_id}", daemon=True)
        self._thread.start()

    @property
    def info(self) -> SourceInfo:
        """What is known about the camera; size and rate are None before the first frame."""
        with self._shared.changed:
            width, height = self._shared.size or (None, None)
            return SourceInfo(
                shown=self._address.shown,
                live=True,
                width=width,
                height=height,
                fps=self._shared.fps,
                time_source=self._shared.time_source,
            )

    @property
    def skipped(self) -> int:
        """Frames that were replaced by a newer one before they were read."""
        return self.status().skipped

    def status(self) -> SourceStatus:
        """How the camera is doing."""
        with self._shared.changed:
            return self._shared.status

    def read(self, timeout_s: float) -> Frame | None:
        """The newest frame that was not read yet, or None if none came in time or after `close`.

        Args:
            timeout_s: Longest wait in seconds.
        """
        shared = self._shared
        with shared.changed:
            shared.changed.wait_for(
                lambda: shared.newest is not None or shared.stopping, timeout=timeout_s
            )
            frame, shared.newest = shared.newest, None
            return frame

    def __iter__(self) -> Iterator[Frame]:
        while not self._stopping():
            frame = self.read(_POLL_S)
            if frame is not None:
                yield frame

    def close(self) -> None:
        """Stop decoding; safe to call twice.

        A thread that waits inside FFmpeg ends at its time limit; it is not waited for.
        """
        with self._shared.changed:
            self._shared.stopping = True
            self._shared.newest = None
            self._shared.status = replace(self._shared.status, state="ended")
            self._shared.changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=_JOIN_S)

    def _stopping(self) -> bool:
        with self._shared.changed:
            return self._shared.stopping

    def _run(self) -> None:
        while not self._stopping():
            began_s = self._clock.monotonic_s()
            error = self._connect_and_stream()
            if self._stopping():
                return
            last_s = self.status().last_frame_monotonic_s
            if last_s is not None:
                self._backoff.healthy(last_s - began_s, cut_off=error.cut_off)
            self._timeline.reconnected()
            delay_s = self._backoff.delay_s(misconfigured=error.misconfigured)
            with self._shared.changed:
                status = self._shared.status
                self._shared.status = replace(
                    status,
                    state="misconfigured" if error.misconfigured else "retrying",
                    reconnects=status.reconnects + 1,
                    last_error=str(error),
                )
                self._shared.changed.wait_for(lambda: self._shared.stopping, timeout=delay_s)

    def _connect_and_stream(self) -> OpenError:
        """Stream one connection until it is lost, and say why it was."""
        try:
            container, stream = open_container(self._address)
        except OpenError as error:
            return error
        try:
            return self._stream(container, stream)
        except (av.error.FFmpegError, OSError, ValueError, SourceError) as error:
            return translate_error(self._address, error)
        finally:
            container.close()

    def _stream(self, container: InputContainer, stream: VideoStream) -> OpenError:
        with self._shared.changed:
            self._shared.fps = frame_rate(stream)
        progressed_s = self._clock.monotonic_s()
        first = True
        for pictures in decode_packets(container, stream):
            if self._stopping():
                break
            if pictures and first:
                first = False
                if self._address.kind == "rtsp" and pts_seconds(pictures[0]) is None:
                    # Over RTSP the first picture never has a time, and it was taken before the
                    # probing: its arrival may be more than a second late.
                    continue
            if pictures is None:
                with self._shared.changed:
                    status = self._shared.status
                    self._shared.status = replace(status, decode_errors=status.decode_errors + 1)
            elif pictures:
                for picture in pictures:
                    self._publish(container, picture)
                progressed_s = self._clock.monotonic_s()
            if self._clock.monotonic_s() - progressed_s > SILENT_AFTER_S:
                return OpenError(
                    f"{self._address.shown}: data comes, but no picture for {SILENT_AFTER_S:.0f} s",
                    misconfigured=False,
                )
        # The end of a live stream looks like the end of a file, and is a disconnect.
        return OpenError(
            f"{self._address.shown}: the stream was cut off", misconfigured=False, cut_off=True
        )

    def _publish(self, container: InputContainer, picture: av.VideoFrame) -> None:
        monotonic_s = self._clock.monotonic_s()
        size = (picture.width, picture.height)
        stamp = self._timeline.stamp(
            pts_seconds(picture),
            realtime_s=realtime_seconds(container),
            now_s=self._clock.now_s(),
            monotonic_s=monotonic_s,
            size=size,
        )
        frame = to_frame(picture, camera_id=self._camera_id, index=self._index, stamp=stamp)
        self._index += 1
        shared = self._shared
        with shared.changed:
            if shared.stopping:
                return
            status = shared.status
            shared.status = replace(
                status,
                state="live",
                frames=status.frames + 1,
                skipped=status.skipped + (shared.newest is not None),
                last_frame_monotonic_s=monotonic_s,
            )
            shared.newest = frame
            shared.size = size
            shared.time_source = stamp.time_source
            shared.changed.notify_all()
