"""Says the same thing seldom: what strangers cause must not fill the log."""

from collections.abc import Callable

from streamreid.clock import Clock

_MAX_KINDS = 64


class Throttle:
    """Passes a text on at once, then at most every `every_s`, and how often its like came.

    Args:
        say: Gets the text and how often its like came since one was last passed on.
        clock: Monotonic time.
        every_s: Shortest time between two texts of one kind.
    """

    def __init__(
        self, say: Callable[[str, int], None], *, clock: Clock, every_s: float = 10.0
    ) -> None:
        self._say = say
        self._clock = clock
        self._every_s = every_s
        self._said: dict[str, tuple[float, int]] = {}

    def __call__(self, text: str, kind: str | None = None) -> None:
        """Say `text`, unless one of its kind was said a moment ago.

        Args:
            text: What to say.
            kind: What counts as the same; the text itself when None.
        """
        kind = text if kind is None else kind
        now_s = self._clock.monotonic_s()
        said_s, count = self._said.get(kind, (float("-inf"), 0))
        if now_s - said_s < self._every_s:
            self._said[kind] = (said_s, count + 1)
            return
        if kind not in self._said and len(self._said) >= _MAX_KINDS:
            # kinds can be made up without end; the oldest is forgotten
            del self._said[next(iter(self._said))]
        self._said[kind] = (now_s, 0)
        self._say(text, count + 1)
