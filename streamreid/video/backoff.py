"""How long to wait before a camera is tried again."""

import random

FIRST_DELAY_S = 0.2
MAX_DELAY_S = 10.0
MISCONFIGURED_DELAY_S = 60.0
HEALTHY_AFTER_S = 10.0
CUT_OFF_HEALTHY_AFTER_S = 1.0
"""After a clean end less is asked for: servers of recordings end and begin anew, and so does a
camera that is restarted; only one that cannot even give a second of pictures is left alone."""

_JITTER = 0.2


class Backoff:
    """Doubling delays with jitter, so that many cameras do not come back in step.

    Args:
        rng: Source of the jitter.
        healthy_after_s: Seconds of frames after which a connection counts as good.
    """

    def __init__(self, rng: random.Random, *, healthy_after_s: float = HEALTHY_AFTER_S) -> None:
        self._rng = rng
        self._healthy_after_s = healthy_after_s
        self._next_s = FIRST_DELAY_S

    def delay_s(self, *, misconfigured: bool) -> float:
        """Seconds to wait after one more failure.

        Args:
            misconfigured: A wrong password or path: only a person can repair it, so ask slowly.
        """
        base_s = MISCONFIGURED_DELAY_S if misconfigured else self._next_s
        if not misconfigured:
            self._next_s = min(2.0 * self._next_s, MAX_DELAY_S)
        return base_s * self._rng.uniform(1.0 - _JITTER, 1.0 + _JITTER)

    def healthy(self, streamed_for_s: float, *, cut_off: bool = False) -> None:
        """Start anew from the first delay once frames have come for long enough.

        Args:
            streamed_for_s: Seconds of frames since the connection was made.
            cut_off: Whether the stream ended cleanly instead of by an error or by silence.
        """
        enough_s = self._healthy_after_s
        if cut_off:
            enough_s = min(enough_s, CUT_OFF_HEALTHY_AFTER_S)
        if streamed_for_s >= enough_s:
            self._next_s = FIRST_DELAY_S
