"""The loop of a camera worker: frames in, counted messages out. Never imports torch."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Literal

from streamreid.clock import Clock
from streamreid.messages import KINDS
from streamreid.runtime.camera_pipeline import CameraPipeline, Looked
from streamreid.runtime.counter_table import SOURCE_STATES, TIME_SOURCES, CounterName, Counters
from streamreid.runtime.detection_rows import RowBuffer
from streamreid.runtime.pressure import Pressure
from streamreid.transport.sender import Sender
from streamreid.types import Frame
from streamreid.video.source import FrameSource, SourceStatus

_log = logging.getLogger(__name__)

_READ_S = 0.05
_DRAIN_LIVE_S = 3.0
_DRAIN_FILE_S = 1.0
_STATE_OF = {
    "connecting": "connecting",
    "live": "running",
    "retrying": "waiting",
    "misconfigured": "misconfigured",
    "ended": "ended",
}

EndReason = Literal["end", "stop"]


def run_camera(
    source: FrameSource,
    pipeline: CameraPipeline,
    sender: Sender,
    counters: Counters,
    *,
    clock: Clock,
    stop: Callable[[], bool],
    after_s: float = float("-inf"),
) -> EndReason:
    """Read one camera until its file ends or somebody asks to stop; then drain and say goodbye.

    Args:
        source: The opened camera or file.
        pipeline: What is done with a frame.
        sender: Connection to the matcher; its Hello was made from `source.info`.
        counters: Where progress is written.
        clock: For arrival times.
        stop: True once the worker should end.
        after_s: Frames up to this capture time were read by a worker before this one, which
            crashed; they are passed over, so that nobody is seen twice.

    Returns:
        Why the loop ended.
    """
    loop = _CameraLoop(source, pipeline, sender, counters, clock)
    while not stop():
        frame = source.read(_READ_S)
        if frame is not None and frame.captured_at_s <= after_s:
            counters.add("frames_passed")
        elif frame is not None:
            loop.take(frame)
        loop.report()
        if frame is None and source.status().state == "ended":
            break
        sender.pump(0.0)
    reason: EndReason = "stop" if stop() else "end"
    loop.finish()
    _drain(sender, live=source.info.live, stop=stop)
    if reason == "end" and not sender.pending:
        # Whoever dies after this has died for nothing: nobody needs to read the file again.
        counters.set("complete", 1)
    sender.bye(reason)
    return reason


def _drain(sender: Sender, *, live: bool, stop: Callable[[], bool]) -> None:
    """Wait until everything is acknowledged; when live or stopping, a few seconds at most."""
    if live or stop():
        sender.drain(_DRAIN_LIVE_S)
        return
    while not stop() and not sender.drain(_DRAIN_FILE_S):
        pass


class _CameraLoop:
    """The state of the loop between two frames."""

    def __init__(
        self,
        source: FrameSource,
        pipeline: CameraPipeline,
        sender: Sender,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._source = source
        self._pipeline = pipeline
        self._sender = sender
        self._counters = counters
        self._clock = clock
        self._rows = RowBuffer()
        self._pressure = Pressure()
        self._described: tuple[int, int, str] | None = None
        self._segment: int | None = None
        self._status = SourceStatus(state="connecting")
        self._told = ""

    def take(self, frame: Frame) -> None:
        """Everything that one frame causes."""
        self._describe(frame)
        self._counters.set("last_frame_at_s", self._clock.now_s())
        self._counters.set("last_capture_at_s", frame.captured_at_s)
        if not self._pipeline.due(frame) or not self._spare(frame):
            self._counters.add("frames_rationed")
            return
        looked = self._pipeline.look(frame)
        self._count(looked)
        if frame.segment != self._segment:
            self._segment = frame.segment
            self._counters.add("segments")
        self._rows.add(frame, looked.tracked)
        self._send(looked, frame.captured_at_s)
        self._sender.progress(frame.captured_at_s)

    def finish(self) -> None:
        """The last tracks, crops and rows."""
        self._send(self._pipeline.finish(), float("inf"))

    def report(self) -> None:
        """Write the state of the source to the counters."""
        status = self._source.status()
        before, self._status = asdict(self._status), status
        for name, counter in _SOURCE_COUNTERS.items():
            grown = getattr(status, name) - before[name]
            if grown > 0:
                self._counters.add(counter, grown)
        self._counters.set("source_state", SOURCE_STATES.index(_STATE_OF[status.state]))
        self._tell(status)

    def _tell(self, status: SourceStatus) -> None:
        """Log why the camera gives no pictures; again only for another reason or another time."""
        if status.state == "live":
            self._told = ""
        elif status.last_error and status.last_error != self._told:
            self._told = status.last_error
            _log.warning(status.last_error)

    def _spare(self, frame: Frame) -> bool:
        """Whether there is room for another frame: files always wait, live cameras give up some."""
        if not self._source.info.live:
            return True
        before = self._pressure.level
        level = self._pressure.update(max(self._sender.fill(kind) for kind in KINDS))
        if level != before:
            self._counters.set("pressure_level", level)
        # A new segment ends tracks, so it must always be looked at.
        return self._pressure.take_frame() or frame.segment != self._segment

    def _send(self, looked: Looked, now_s: float) -> None:
        for crop in looked.crops:
            if self._pressure.admit(crop):
                self._sender.send_crop(crop)
            else:
                self._counters.add("crops_withheld")
        # A track's rows must be stored before its end is.
        if looked.ended or self._rows.due(now_s):
            self._send_rows()
        for track in looked.ended:
            self._sender.send_track(track)
            self._rows.forget(int(track.track_id))
            if track.track_id in self._pressure.withheld_tracks:
                self._counters.add("tracks_withheld")
            self._pressure.forget(track.track_id)

    def _send_rows(self) -> None:
        rows = self._rows.take()
        if rows is not None:
            self._sender.send_detections(
                captured_at_s=rows.captured_at_s,
                track_id=rows.track_id,
                track_started_at_s=rows.track_started_at_s,
                boxes_xyxy=rows.boxes_xyxy,
                confidence=rows.confidence,
            )

    def _describe(self, frame: Frame) -> None:
        described = (frame.width, frame.height, frame.time_source)
        if described != self._described:
            self._described = described
            self._sender.describe(
                width=frame.width, height=frame.height, time_source=frame.time_source
            )
            self._counters.set("frame_width", frame.width)
            self._counters.set("frame_height", frame.height)
            self._counters.set("time_source", TIME_SOURCES.index(frame.time_source))

    def _count(self, looked: Looked) -> None:
        counters = self._counters
        counters.add("frames_detected" if looked.detected else "frames_idle")
        counters.add("detections", looked.detections)
        counters.add("tracks_ended", len(looked.ended))
        counters.set("tracks_open", self._pipeline.open_tracks)
        if looked.detected or not self._pipeline.open_tracks:
            counters.set("people_now", len(looked.tracked))


_SOURCE_COUNTERS: dict[str, CounterName] = {
    "frames": "frames_decoded",
    "skipped": "frames_skipped",
    "decode_errors": "decode_errors",
    "reconnects": "reconnects",
}
