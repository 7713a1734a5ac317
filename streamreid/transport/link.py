"""What sender and receiver need of a connection: the seam between protocol and sockets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from streamreid.messages.pixels import Part


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """Something that happened on a worker's link.

    Attributes:
        kind: `up` (a matcher is connected), `down` (it is not any more), `refused` (it does not
            want us) or `parts`.
        parts: The message, for `parts`.
    """

    kind: Literal["up", "down", "refused", "parts"]
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message from one peer.

    Attributes:
        peer: Routing id of the peer.
        parts: The message without the routing id.
    """

    peer: bytes
    parts: tuple[Part, ...]


class WorkerLink(Protocol):
    """A worker's end of the connection; one thread uses it."""

    def poll(self, timeout_s: float) -> list[LinkEvent]:
        """Wait for something to happen, at most `timeout_s`, and give all of it in order."""

    def send(self, parts: Sequence[Part]) -> bool:
        """Hand a message over without waiting; False when nobody can take it now."""

    def close(self) -> None:
        """Release everything; safe to call twice."""


class MatcherLink(Protocol):
    """The matcher's end of all connections; one thread uses it."""

    def poll(self, timeout_s: float, limit: int) -> list[Arrival]:
        """Wait for messages, at most `timeout_s`, and give at most `limit` of them in order."""

    def send(self, peer: bytes, parts: Sequence[Part]) -> bool:
        """Hand a message over without waiting; False when the peer is gone or takes no more."""

    def close(self) -> None:
        """Release everything; safe to call twice."""
