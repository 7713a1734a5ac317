"""When each frame was taken: stream time to epoch seconds, and where one segment ends.

Stream time (pts) restarts, jumps and goes missing. Each timeline turns it into capture times that
strictly grow inside a segment, and begins a new segment where elapsed time cannot be trusted.
"""

from dataclasses import dataclass

from streamreid.types import TimeSource

MAX_JUMP_S = 1.0
"""A step of stream time beyond this, either way, is a jump and not elapsed time."""

MAX_SKEW_S = 30.0
"""A sender report further than this from the arrival time is not believed."""

_TICK_S = 1e-3

_ROUNDING_S = 0.05
"""A camera's time that is held back by less than this is still its own."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Capture time of one frame.

    Attributes:
        captured_at_s: Epoch seconds; grows strictly inside a segment.
        segment: Number of the segment, from 0.
        time_source: Where the time comes from.
    """

    captured_at_s: float
    segment: int
    time_source: TimeSource


class FileTimeline:
    """Times of a recorded file: start time plus position, re-anchored at every jump.

    Args:
        start_time_s: Epoch seconds of the first frame.
        period_s: Declared seconds between frames; used where a position is missing or jumps, until
            a real step has been seen.
    """

    def __init__(self, *, start_time_s: float, period_s: float) -> None:
        self._origin_s = start_time_s
        self._period_s = period_s
        # Slow recordings (one picture a minute) have long steps that are no jumps.
        self._max_step_s = max(MAX_JUMP_S, 3.0 * period_s)
        self._first_pts_s: float | None = None
        self._last_pts_s: float | None = None
        self._last_captured_s: float | None = None
        self._size: tuple[int, int] | None = None
        self._segment = 0

    def stamp(self, pts_s: float | None, size: tuple[int, int]) -> Stamp:
        """Time of the next frame.

        Args:
            pts_s: Position in the stream in seconds, or None when the container has none.
            size: Width and height of the frame in pixels.
        """
        last = self._last_captured_s
        if last is None:
            captured = self._origin_s
            if pts_s is not None:
                self._first_pts_s = pts_s
        elif pts_s is None:
            captured = last + self._period_s
        else:
            captured = self._follow(pts_s, last)
        if self._size is not None and size != self._size:
            self._segment += 1
        self._size = size
        if pts_s is not None:
            self._last_pts_s = pts_s
        self._last_captured_s = captured
        return Stamp(captured, self._segment, "file")

    def _follow(self, pts_s: float, last: float) -> float:
        step = 0.0 if self._last_pts_s is None else pts_s - self._last_pts_s
        jumped = step < -MAX_JUMP_S or step > self._max_step_s
        if jumped or self._first_pts_s is None or self._last_pts_s is None:
            # The position starts anew: go on from the last frame as if one period had passed.
            self._segment += int(jumped)
            self._origin_s = last + self._period_s
            self._first_pts_s = pts_s
            return self._origin_s
        if 0.0 <= step < _TICK_S:
            # Some containers write the last position twice; it is a frame of its own all the same.
            return last + self._period_s
        if step > _TICK_S:
            # What is seen beats what is declared: some containers declare absurd rates.
            self._period_s = step
        return max(self._origin_s + (pts_s - self._first_pts_s), last + _TICK_S)


class LiveTimeline:
    """Times of a live stream: the camera's own clock if it sends reports, else arrival here."""

    def __init__(self) -> None:
        self._segment = 0
        self._offset_s = 0.0
        self._last_pts_s: float | None = None
        self._last_now_s: float | None = None
        self._last_monotonic_s = 0.0
        self._last_captured_s: float | None = None
        self._source: TimeSource | None = None
        self._size: tuple[int, int] | None = None

    @property
    def segment(self) -> int:
        """Number of the current segment."""
        return self._segment

    def reconnected(self) -> None:
        """Begin a new connection: nothing of the old one's stream time holds any more."""
        if self._last_now_s is None:
            return
        self._begin_segment()
        self._offset_s = 0.0
        self._last_pts_s = None
        self._last_now_s = None

    def stamp(
        self,
        pts_s: float | None,
        *,
        realtime_s: float | None,
        now_s: float,
        monotonic_s: float,
        size: tuple[int, int],
    ) -> Stamp:
        """Time of the next frame.

        Args:
            pts_s: Stream time in seconds, or None.
            realtime_s: Wall time of stream time 0 by the sender's report, or None.
            now_s: Wall time of arrival, epoch seconds.
            monotonic_s: Monotonic time of arrival in seconds.
            size: Width and height of the frame in pixels.
        """
        elapsed_s = monotonic_s - self._last_monotonic_s
        if self._size is not None and size != self._size:
            self._begin_segment()
        if self._last_now_s is not None:
            if abs((now_s - self._last_now_s) - elapsed_s) > MAX_JUMP_S:
                # This machine's clock was set; durations across the step mean nothing.
                self._begin_segment()
            self._check_jump(pts_s, elapsed_s)
        captured, source = self._choose(pts_s, realtime_s, now_s)
        self._check_source(source, captured, elapsed_s)
        last = self._last_captured_s
        if last is not None and captured <= last:
            if last - captured > MAX_JUMP_S:
                self._begin_segment()
            else:
                if last - captured > _ROUNDING_S:
                    # The first report came: until the camera's clock is past the arrivals before
                    # it, these are not the camera's times.
                    source = "arrival"
                captured = last + _TICK_S
        self._size = size
        self._last_pts_s = pts_s if pts_s is not None else self._last_pts_s
        self._last_now_s, self._last_monotonic_s = now_s, monotonic_s
        self._last_captured_s = captured
        return Stamp(captured, self._segment, source)

    def _begin_segment(self) -> None:
        # Changes that fall on one frame are one change.
        if self._last_captured_s is not None:
            self._segment += 1
            self._last_captured_s = None

    def _check_jump(self, pts_s: float | None, elapsed_s: float) -> None:
        if pts_s is None or self._last_pts_s is None:
            return
        step_s = pts_s - self._last_pts_s
        if step_s < -MAX_JUMP_S or step_s > MAX_JUMP_S:
            self._begin_segment()
            # FFmpeg keeps the first report's mapping for the whole connection, so after a jump
            # it is wrong by exactly the jump.
            self._offset_s -= step_s - elapsed_s

    def _check_source(self, source: TimeSource, captured_s: float, elapsed_s: float) -> None:
        last_s, changed = self._last_captured_s, source != self._source
        self._source = source
        if changed and last_s is not None and abs(captured_s - last_s - elapsed_s) > MAX_JUMP_S:
            # Many cameras report first after seconds, and by how far they are off no time passed.
            self._begin_segment()

    def _choose(
        self, pts_s: float | None, realtime_s: float | None, now_s: float
    ) -> tuple[float, TimeSource]:
        if pts_s is not None and realtime_s is not None:
            captured = realtime_s + pts_s + self._offset_s
            if abs(captured - now_s) < MAX_SKEW_S:
                return captured, "rtcp"
        return now_s, "arrival"
