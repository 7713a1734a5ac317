"""Stand-ins that tests drive by hand."""


class ManualClock:
    """A clock that moves only when told to, or when somebody sleeps on it."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.time_s = now_s

    def now_s(self) -> float:
        return self.time_s

    def monotonic_s(self) -> float:
        return self.time_s

    def sleep(self, duration_s: float) -> None:
        self.time_s += duration_s

    def advance(self, duration_s: float) -> None:
        self.time_s += duration_s
