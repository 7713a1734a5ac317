"""How a worker introduces itself: Hello until there is a Welcome, and again after silence."""

from collections.abc import Callable
from dataclasses import dataclass, field

from streamreid.messages import Welcome

_RETRY_S = 1.0
_RETRY_MAX_S = 10.0
_SILENCE_S = 5.0


@dataclass(slots=True)
class Handshake:
    """Whether a matcher knows this worker; all times are monotonic seconds.

    Attributes:
        say_hello: Sends Hello.
        heard_at_s: When the matcher was last heard.
        welcomed: True while a matcher has welcomed this worker.
        epoch: Number of the last matcher that said Welcome.
    """

    say_hello: Callable[[], None]
    heard_at_s: float
    welcomed: bool = False
    epoch: int | None = None
    _up: bool = False
    _awaiting: bool = False
    _retry_at_s: float = 0.0
    _retry_s: float = field(default=_RETRY_S)

    def connected(self, now_s: float) -> None:
        """A matcher's socket is there."""
        self._up = True
        self._begin(now_s)

    def disconnected(self) -> None:
        """The matcher's socket is gone."""
        self._up = self._awaiting = self.welcomed = False

    def asked(self, now_s: float) -> bool:
        """The matcher does not know us; False when we wait for its Welcome anyway."""
        if self._awaiting:
            return False
        self._begin(now_s)
        return True

    def repeat(self, now_s: float, *, unanswered: bool) -> None:
        """Say Hello again when no Welcome came, or when sent messages meet nothing but silence.

        Args:
            now_s: The time.
            unanswered: Whether anything that was sent is not acknowledged.
        """
        if not self._up or now_s < self._retry_at_s:
            return
        if self._awaiting or (unanswered and now_s - self.heard_at_s > _SILENCE_S):
            self._introduce(now_s)

    def accept(self, welcome: Welcome, now_s: float) -> bool:
        """Take a Welcome; False for one from the same matcher that nobody waits for."""
        if not self._awaiting and welcome.epoch == self.epoch:
            return False
        self.epoch = welcome.epoch
        self.welcomed = True
        self._awaiting = False
        self._retry_s = _RETRY_S
        self._retry_at_s = now_s + _SILENCE_S
        return True

    def _begin(self, now_s: float) -> None:
        self.welcomed = False
        self._retry_s = _RETRY_S
        self._introduce(now_s)

    def _introduce(self, now_s: float) -> None:
        self.say_hello()
        self._awaiting = True
        self._retry_at_s = now_s + self._retry_s
        self._retry_s = min(2 * self._retry_s, _RETRY_MAX_S)
