"""Which frames are looked at: a camera's `detect_fps`, decided by capture time alone."""

from streamreid.types import Frame

_SLACK = 0.1
"""Share of the interval that a frame may come early: cameras do not tick exactly."""


class FrameSampler:
    """Picks frames at a steady rate; the same frames give the same picks.

    Args:
        rate_fps: Frames a second to pick; frames that come slower are all picked.
    """

    def __init__(self, rate_fps: float) -> None:
        if not rate_fps > 0.0:
            raise ValueError(f"rate_fps must be above 0, got {rate_fps}")
        self._interval_s = 1.0 / rate_fps
        self._segment: int | None = None
        self._due_s = 0.0

    def due(self, frame: Frame) -> bool:
        """Whether this frame is one to look at; the first of every segment is.

        Args:
            frame: The next frame of the camera.
        """
        now_s = frame.captured_at_s
        if frame.segment != self._segment:
            self._segment, self._due_s = frame.segment, now_s
        if now_s < self._due_s - _SLACK * self._interval_s:
            return False
        # Step from the due time, not from the frame, or 25 fps would give 4.2 picks instead of 5.
        self._due_s = max(self._due_s + self._interval_s, now_s + (1 - _SLACK) * self._interval_s)
        return True
