"""The matcher's end of the protocol: who is there, what they say, and what they are told.

It decides nothing about crops: the caller stores them and calls `ack` after the commit.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Literal, Protocol, Self, cast

from streamreid.errors import MessageError
from streamreid.messages import (
    MAX_ACK_ITEMS,
    Ack,
    Bye,
    Disposition,
    Goodbye,
    Hello,
    Kind,
    Welcome,
    Who,
    WorkerMessage,
    decode_worker,
    encode,
)
from streamreid.messages import fields as message_fields
from streamreid.transport.link import Arrival, MatcherLink
from streamreid.types import CameraId

_MAX_CAMERAS = 4096
_INCARNATIONS_KEPT = 2


@dataclass(frozen=True, slots=True)
class Received:
    """A readable message.

    Attributes:
        camera_id: Camera of the worker.
        incarnation: Number of the worker process.
        message: What it said; Hello comes again after every reconnect.
    """

    camera_id: CameraId
    incarnation: int
    message: WorkerMessage


class ReceiverCounters(Protocol):
    """The counters that the receiver keeps up to date."""

    def add(
        self,
        name: Literal["messages_received", "messages_rejected", "peers_refused", "acks_unsent"],
        count: int = 1,
    ) -> None:
        """Raise a counter."""


class Receiver:
    """Takes the messages of all workers; use `open_receiver` of zeromq.py or inproc.py.

    Args:
        link: The connections.
        epoch: Number of this matcher process; new after every start.
        window: Messages of each kind that a worker may have unacknowledged.
        counters: Where everything is counted.
        on_rejected: Told about every message that cannot be read, for the log.
        knows: Whether a camera of this name may say Hello.
    """

    def __init__(
        self,
        link: MatcherLink,
        *,
        epoch: int,
        window: int,
        counters: ReceiverCounters,
        on_rejected: Callable[[MessageError], None] = lambda _: None,
        knows: Callable[[CameraId], bool] = lambda _: True,
    ) -> None:
        self._link = link
        self._epoch = epoch
        self._window = window
        self._counters = counters
        self._on_rejected = on_rejected
        self._knows = knows
        self._peers: dict[CameraId, deque[int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def epoch(self) -> int:
        """Number of this matcher process."""
        return self._epoch

    def poll(self, timeout_s: float, limit: int = 256) -> list[Received]:
        """Wait for messages, at most `timeout_s`, and give those that can be read, in order."""
        received = []
        for arrival in self._link.poll(timeout_s, limit):
            self._counters.add("messages_received")
            try:
                one = self._read(arrival)
            except MessageError as exc:
                self._counters.add("messages_rejected")
                self._on_rejected(exc)
                continue
            if one is not None:
                received.append(one)
        return received

    def ack(
        self,
        camera_id: CameraId,
        incarnation: int,
        kind: Kind,
        items: Iterable[tuple[int, Disposition]],
    ) -> None:
        """Tell a worker what became of its messages; call it after the commit.

        A worker that is gone is not told: when it comes back it sends them again.
        """
        entries = tuple(items)
        peer = _peer(camera_id, incarnation)
        for start in range(0, len(entries), MAX_ACK_ITEMS):
            part = entries[start : start + MAX_ACK_ITEMS]
            if not self._link.send(peer, encode(Ack(self._epoch, kind, part))):
                self._counters.add("acks_unsent", len(part))

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._link.close()

    def _read(self, arrival: Arrival) -> Received | None:
        """Decode one message and answer what is the protocol's own business."""
        camera_id, incarnation = _parse_peer(arrival.peer)
        try:
            message = decode_worker(arrival.parts, camera_id)
        except MessageError as exc:
            if exc.kind is not None and exc.seq is not None:
                kind = cast(Kind, exc.kind)
                self.ack(camera_id, incarnation, kind, [(exc.seq, "rejected")])
            raise
        if isinstance(message, Hello):
            self._greet(message, camera_id, incarnation)
        elif incarnation not in self._peers.get(camera_id, ()):
            self._link.send(arrival.peer, encode(Who()))
            return None
        if isinstance(message, Bye):
            self._link.send(arrival.peer, encode(Goodbye(self._epoch)))
        return Received(camera_id, incarnation, message)

    def _greet(self, hello: Hello, camera_id: CameraId, incarnation: int) -> None:
        """Remember a worker and give it credits."""
        if hello.incarnation != incarnation:
            raise MessageError(f"camera '{camera_id}' says Hello with another worker's number")
        if not self._knows(camera_id):
            raise MessageError(f"camera '{camera_id}' is not in the configuration of this matcher")
        if camera_id not in self._peers and len(self._peers) >= _MAX_CAMERAS:
            raise MessageError(f"more than {_MAX_CAMERAS} cameras say Hello")
        incarnations = self._peers.setdefault(camera_id, deque(maxlen=_INCARNATIONS_KEPT))
        if incarnation not in incarnations:
            incarnations.append(incarnation)
        self._link.send(_peer(camera_id, incarnation), encode(Welcome(self._epoch, self._window)))


def _peer(camera_id: CameraId, incarnation: int) -> bytes:
    """Routing id of a worker."""
    return f"{camera_id}.{incarnation}".encode("ascii")


@lru_cache(maxsize=_MAX_CAMERAS)
def _parse_peer(peer: bytes) -> tuple[CameraId, int]:
    """Camera and incarnation of a routing id.

    Raises:
        MessageError: It has another form.
    """
    name, _, digits = peer.decode("latin-1").partition(".")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        raise MessageError("a routing id must be 'camera.incarnation'", reason="header")
    camera_id = CameraId(message_fields.camera_name(name, "camera of a routing id"))
    return camera_id, message_fields.integer(int(digits), "incarnation of a routing id")
