"""How far a camera has come, told between its messages: bounded, in order, told again if needed."""

from collections import deque

_IN_FLIGHT = 64


class Marks:
    """Progress marks of one worker; each has its place among the messages.

    A replay orders messages by the marks between them, so a file's marks all keep their places, and
    a new matcher is told those again that lie between the messages it gets again. To a live matcher
    only the newest mark matters.

    Args:
        live: True to keep the newest mark only.
    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._waiting: deque[tuple[int, float]] = deque()
        self._told: deque[tuple[int, float]] = deque(maxlen=1 if live else None)
        self._in_flight = 0

    def __len__(self) -> int:
        """Number of marks not yet told."""
        return len(self._waiting)

    @property
    def first_order(self) -> float:
        """Place of the oldest mark not yet told: after so many messages; infinite without one."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def put(self, order: int, captured_at_s: float) -> None:
        """Nothing captured before `captured_at_s` follows the first `order` messages."""
        if self._waiting and (self._live or self._waiting[-1][0] == order):
            self._waiting.pop()
        self._waiting.append((order, captured_at_s))

    def next_s(self, oldest_unsent: float) -> float | None:
        """The time that may be told now, or None.

        Args:
            oldest_unsent: Place of the oldest message not yet sent.
        """
        if self._in_flight >= _IN_FLIGHT or self.first_order >= oldest_unsent:
            return None
        return self._waiting[0][1] if self._waiting else None

    def mark_told(self, oldest_unsettled: float) -> None:
        """The mark that `next_s` gave was sent.

        Args:
            oldest_unsettled: Place of the oldest message that may have to be sent again.
        """
        self._told.append(self._waiting.popleft())
        self._in_flight += 1
        while len(self._told) > 1 and self._told[1][0] < oldest_unsettled:
            self._told.popleft()

    def heard(self, count: int) -> None:
        """The matcher took `count` marks."""
        self._in_flight = max(0, self._in_flight - count)

    def tell_again(self) -> None:
        """A matcher is there that may not have heard what was told."""
        self._in_flight = 0
        self._waiting.extendleft(reversed(self._told))
        self._told.clear()

    def clear(self) -> None:
        """Nothing will follow at all."""
        self._waiting.clear()
