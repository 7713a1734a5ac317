"""What usually is in the picture: a mixture model whose memory is counted in seconds."""

import math

import cv2
import numpy as np

from streamreid.types import UInt8Array

_ALL_CHANGED = 0.7
"""Share of the picture beyond which it is the scene that changed and not something in it."""

_STILL_TRUE = 0.3
"""Share of the picture that may differ after a break for what was known to hold still."""

_PLAIN_MEAN = 8
"""Pictures that are averaged to begin with. Not more: a mixture component counts as background from
a tenth of the weight on, so at a rate of 1/16 a person becomes wall in two pictures."""

_FIRST_MEMORY_S = 60.0
"""Memory of a model that is new: it may have begun with people in the picture, for instance when
the process was started again. They fade in seconds instead of half a minute, and people of their
colours are not torn where they stood."""


class Background:
    """MOG2 with a learning rate that follows capture time, so that it works at any frame rate.

    Args:
        memory_s: Seconds over which the model forgets; what stands still for about a tenth of it
            becomes background. A new model forgets within a minute, and over all of the time since
            its start from then on, until that is longer.
        variance_threshold: Squared distance in standard deviations beyond which a pixel is new.
        shadows: Whether shadows are told apart (and not reported).
    """

    def __init__(self, *, memory_s: float, variance_threshold: float, shadows: bool) -> None:
        self._memory_s = memory_s
        self._variance_threshold = variance_threshold
        self._shadows = shadows
        self._key: tuple[int, tuple[int, ...]] | None = None
        self._updates = 0
        self._last_s = 0.0
        self._learned_s = 0.0
        self._model = self._new_model()

    def foreground(
        self, picture: UInt8Array, *, segment: int, captured_at_s: float
    ) -> UInt8Array | None:
        """Learn from a picture and tell what is new in it.

        Args:
            picture: Small picture, `(H, W)` or `(H, W, 3)`, uint8.
            segment: Segment of the frame; a new one starts the model anew, unless it shows the same
                place: a camera that was cut off for a moment need not learn it again, and whoever
                stands there now does not become a part of it.
            captured_at_s: Capture time in epoch seconds.

        Returns:
            255 where the picture differs from the background, else 0, shape `(H, W)`; None when
            nothing can be said: at the start, and when all of the picture changed.
        """
        key = (segment, picture.shape)
        if key != self._key:
            if not self._holds_still(picture):
                self._model, self._updates, self._learned_s = self._new_model(), 0, 0.0
            self._key, self._last_s = key, captured_at_s
        elapsed_s = max(0.0, captured_at_s - self._last_s) if self._updates else 0.0
        self._last_s = captured_at_s
        self._updates += 1
        self._learned_s += elapsed_s
        memory_s = min(self._memory_s, max(_FIRST_MEMORY_S, self._learned_s))
        rate = 1.0 - math.exp(-elapsed_s / memory_s)
        if self._updates <= _PLAIN_MEAN:
            rate = 1.0 / self._updates
        mask = np.asarray(self._model.apply(picture, learningRate=min(1.0, rate)), np.uint8)
        if self._updates == 1:
            return None
        if cv2.countNonZero(mask) > _ALL_CHANGED * mask.size:
            # The light was switched or the camera was turned: nothing known is true any more.
            self._key = None
            return None
        return np.asarray((mask == 255) * np.uint8(255), np.uint8)

    def _holds_still(self, picture: UInt8Array) -> bool:
        """Whether what is known is true of the first picture after a break too."""
        if self._key is None or self._key[1] != picture.shape or self._updates < _PLAIN_MEAN:
            return False
        mask = np.asarray(self._model.apply(picture, learningRate=0.0), np.uint8)
        return cv2.countNonZero(mask) <= _STILL_TRUE * mask.size

    def _new_model(self) -> cv2.BackgroundSubtractorMOG2:
        return cv2.createBackgroundSubtractorMOG2(
            varThreshold=self._variance_threshold, detectShadows=self._shadows
        )
