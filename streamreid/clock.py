"""The clock that loops are given: wall time for capture times, monotonic time for durations."""

import time
from typing import Protocol


class Clock(Protocol):
    """Source of time; maths never reads it, loops get one as an argument."""

    def now_s(self) -> float:
        """Wall time in epoch seconds (UTC)."""

    def monotonic_s(self) -> float:
        """Seconds that never jump; comparable only inside one process."""

    def sleep(self, duration_s: float) -> None:
        """Wait for `duration_s` seconds."""


class SystemClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        """Wall time in epoch seconds (UTC)."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds that never jump; comparable only inside one process."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Wait for `duration_s` seconds."""
        time.sleep(duration_s)
