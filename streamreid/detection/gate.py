"""The motion gate: decides for pennies whether the detector has to look at a frame at all."""

from dataclasses import dataclass

import cv2
import numpy as np

from streamreid.detection.background import Background
from streamreid.pictures import small_luma
from streamreid.types import Frame

_WARM_UP_LOOKS = 3


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate says about a frame.

    Attributes:
        open: Whether the detector should run.
        reason: `motion`, `keep_alive` (people are known to be there), `start`, `patrol` (a look
            now and then although nothing moved), or `idle` when closed.
        moving: Share of the picture that moves, in [0, 1].
    """

    open: bool
    reason: str
    moving: float


class MotionGate:
    """Opens on motion, keeps known people alive, and looks now and then anyway.

    Args:
        width: Pixels per row of the grey picture that is examined.
        min_moving: Share of the picture that must move, after single pixels were removed.
        hold_s: Seconds that the gate stays open after motion.
        keep_alive_s: Seconds between looks while tracks exist and nothing moves, so that a
            person standing still is not lost.
        patrol_s: Seconds between looks while nothing moves and nobody is known.
    """

    def __init__(
        self,
        *,
        width: int = 320,
        min_moving: float = 0.0004,
        hold_s: float = 1.0,
        keep_alive_s: float = 1.0,
        patrol_s: float = 10.0,
    ) -> None:
        self._width = width
        self._min_moving = min_moving
        self._hold_s = hold_s
        self._keep_alive_s = keep_alive_s
        self._patrol_s = patrol_s
        self._background = Background(memory_s=60.0, variance_threshold=25.0, shadows=False)
        self._kernel = np.ones((3, 3), np.uint8)
        self._segment: int | None = None
        self._looks = 0
        self._moved_s = -np.inf
        self._looked_s = -np.inf

    def update(self, frame: Frame, *, tracks: int) -> GateDecision:
        """Examine a frame.

        Args:
            frame: The next frame to consider.
            tracks: Number of tracks that are alive in this camera.
        """
        now_s = frame.captured_at_s
        if frame.segment != self._segment:
            self._segment, self._looks = frame.segment, 0
            self._moved_s = self._looked_s = -np.inf
        moving = self._moving(frame)
        if moving >= self._min_moving:
            self._moved_s = now_s
        reason = self._reason(now_s, tracks)
        if reason != "idle":
            self._looks += 1
            self._looked_s = now_s
        return GateDecision(reason != "idle", reason, moving)

    def _moving(self, frame: Frame) -> float:
        mask = self._background.foreground(
            small_luma(frame, self._width),
            segment=frame.segment,
            captured_at_s=frame.captured_at_s,
        )
        if mask is None:
            return 1.0 if self._looks else 0.0
        # Sensor noise makes single pixels; people make patches.
        opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, self._kernel)
        return cv2.countNonZero(opened) / opened.size

    def _reason(self, now_s: float, tracks: int) -> str:
        if self._looks < _WARM_UP_LOOKS:
            return "start"
        if now_s - self._moved_s <= self._hold_s:
            return "motion"
        since_s = now_s - self._looked_s
        if tracks and since_s >= self._keep_alive_s:
            return "keep_alive"
        if since_s >= self._patrol_s:
            return "patrol"
        return "idle"
