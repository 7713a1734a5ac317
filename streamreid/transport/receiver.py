"""The matcher's end of the protocol: who is there, what they say, and what they are told.

It decides nothing about crops: the caller stores them and calls `ack` after the commit.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Literal, Protocol, Self, cast

from streamreid.errors import MessageError
from streamreid.messages import (
    MAX_ACK_ITEMS,
    Ack,
    Bye,
    CropMessage,
    DetectionsMessage,
    Disposition,
    Goodbye,
    Heard,
    Hello,
    Kind,
    Progress,
    TrackMessage,
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

KIND_OF: dict[type, Kind] = {
    CropMessage: "crop",
    DetectionsMessage: "detections",
    TrackMessage: "track",
}
"""Kind of each type of counted message."""


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


@dataclass(slots=True)
class _Stream:
    """One worker's messages of one kind.

    Attributes:
        remembered: So many answers are kept; a worker never has more messages unacknowledged.
        given: Sequence numbers given to the caller and not yet answered.
        answered: The last answers, oldest first.
    """

    remembered: int
    given: set[int] = field(default_factory=set)
    answered: dict[int, Disposition] = field(default_factory=dict)

    def answer(self, items: Iterable[tuple[int, Disposition]]) -> None:
        """Remember what the worker is told."""
        for seq, disposition in items:
            self.given.discard(seq)
            self.answered[seq] = disposition
        while len(self.answered) > self.remembered:
            del self.answered[next(iter(self.answered))]


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
        self._streams: dict[tuple[CameraId, int, Kind], _Stream] = {}

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
        """Wait for messages, at most `timeout_s`, and give those that can be read, in order.

        A message is given once, also when its worker sends it again after a broken connection.
        """
        received = []
        heard: dict[bytes, int] = {}
        for arrival in self._link.poll(timeout_s, limit):
            self._counters.add("messages_received")
            try:
                one = self._read(arrival)
            except MessageError as exc:
                self._counters.add("messages_rejected")
                self._on_rejected(exc)
                continue
            if one is None:
                continue
            received.append(one)
            if isinstance(one.message, Progress):
                heard[arrival.peer] = heard.get(arrival.peer, 0) + 1
        for peer, count in heard.items():
            self._link.send(peer, encode(Heard(count)))
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
        if self._is_known(camera_id, incarnation):
            self._stream(camera_id, incarnation, kind).answer(entries)
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
            known = self._is_known(camera_id, incarnation)
            if known and exc.kind is not None and exc.seq is not None:
                kind = cast(Kind, exc.kind)
                self.ack(camera_id, incarnation, kind, [(exc.seq, "rejected")])
            raise
        if isinstance(message, Hello):
            self._greet(message, camera_id, incarnation)
        elif not self._is_known(camera_id, incarnation):
            self._link.send(arrival.peer, encode(Who()))
            return None
        if isinstance(message, CropMessage | DetectionsMessage | TrackMessage):
            kind = KIND_OF[type(message)]
            stream = self._stream(camera_id, incarnation, kind)
            if message.seq in stream.answered:
                self.ack(
                    camera_id, incarnation, kind, [(message.seq, stream.answered[message.seq])]
                )
                return None
            if message.seq in stream.given:
                return None
            stream.given.add(message.seq)
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
            self._forget(camera_id)
        self._link.send(_peer(camera_id, incarnation), encode(Welcome(self._epoch, self._window)))

    def _is_known(self, camera_id: CameraId, incarnation: int) -> bool:
        """Whether a worker has said Hello to this matcher."""
        return incarnation in self._peers.get(camera_id, ())

    def _forget(self, camera_id: CameraId) -> None:
        """Forget what workers long gone have sent."""
        known = self._peers[camera_id]
        for key in [key for key in self._streams if key[0] == camera_id and key[1] not in known]:
            del self._streams[key]

    def _stream(self, camera_id: CameraId, incarnation: int, kind: Kind) -> _Stream:
        """What was given and answered of one worker's messages of one kind."""
        key = (camera_id, incarnation, kind)
        if key not in self._streams:
            self._streams[key] = _Stream(remembered=2 * self._window)
        return self._streams[key]


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
