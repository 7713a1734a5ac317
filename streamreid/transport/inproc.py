"""The transport inside one process: for tests and replays, same protocol, no sockets."""

from collections import deque
from collections.abc import Callable, Sequence

from streamreid.clock import Clock
from streamreid.errors import MessageError, TransportError
from streamreid.messages import Hello
from streamreid.messages.pixels import Part
from streamreid.transport.link import Arrival, LinkEvent
from streamreid.transport.receiver import Receiver, ReceiverCounters
from streamreid.transport.sender import Sender, SenderCounters
from streamreid.types import CameraId


class Switchboard:
    """Connects the links of one process; a matcher that goes loses what was under way to it."""

    def __init__(self) -> None:
        self._inbox: deque[Arrival] = deque()
        self._workers: dict[bytes, deque[LinkEvent]] = {}
        self._matcher: object | None = None

    def attach_matcher(self, matcher: object) -> None:
        """Make `matcher` the one that receives."""
        if self._matcher is not None:
            raise TransportError("this switchboard has a matcher already: close it first")
        self._matcher = matcher
        for events in self._workers.values():
            events.append(LinkEvent("up"))

    def detach_matcher(self, matcher: object) -> None:
        """Lose everything under way to or from `matcher`."""
        if self._matcher is not matcher:
            return
        self._matcher = None
        self._inbox.clear()
        for events in self._workers.values():
            events.clear()
            events.append(LinkEvent("down"))

    def attach_worker(self, peer: bytes) -> None:
        """Let a worker in."""
        self._workers[peer] = deque()
        if self._matcher is not None:
            self._workers[peer].append(LinkEvent("up"))

    def detach_worker(self, peer: bytes) -> None:
        """Forget a worker; what it sent stays, as in a socket's buffer."""
        self._workers.pop(peer, None)

    def to_matcher(self, peer: bytes, parts: Sequence[Part]) -> bool:
        """Deliver to the matcher."""
        if self._matcher is None:
            return False
        self._inbox.append(Arrival(peer, tuple(parts)))
        return True

    def to_worker(self, peer: bytes, parts: Sequence[Part]) -> bool:
        """Deliver to a worker."""
        if peer not in self._workers:
            return False
        self._workers[peer].append(LinkEvent("parts", tuple(parts)))
        return True

    def take_events(self, peer: bytes) -> list[LinkEvent]:
        """Everything that happened to a worker's link."""
        events = self._workers.get(peer, deque())
        taken = list(events)
        events.clear()
        return taken

    def take_arrivals(self, limit: int) -> list[Arrival]:
        """Messages for the matcher."""
        return [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]


class _InprocWorkerLink:
    """A worker's end; waiting is pointless in one thread, so `poll` only tells the clock."""

    def __init__(self, board: Switchboard, peer: bytes, clock: Clock) -> None:
        self._board = board
        self._peer = peer
        self._clock = clock
        board.attach_worker(peer)

    def poll(self, timeout_s: float) -> list[LinkEvent]:
        events = self._board.take_events(self._peer)
        if not events and timeout_s > 0:
            self._clock.sleep(timeout_s)
            events = self._board.take_events(self._peer)
        return events

    def send(self, parts: Sequence[Part]) -> bool:
        return self._board.to_matcher(self._peer, parts)

    def close(self) -> None:
        self._board.detach_worker(self._peer)


class _InprocMatcherLink:
    """The matcher's end."""

    def __init__(self, board: Switchboard, clock: Clock) -> None:
        self._board = board
        self._clock = clock
        board.attach_matcher(self)

    def poll(self, timeout_s: float, limit: int) -> list[Arrival]:
        arrivals = self._board.take_arrivals(limit)
        if not arrivals and timeout_s > 0:
            self._clock.sleep(timeout_s)
            arrivals = self._board.take_arrivals(limit)
        return arrivals

    def send(self, peer: bytes, parts: Sequence[Part]) -> bool:
        return self._board.to_worker(peer, parts)

    def close(self) -> None:
        self._board.detach_matcher(self)


def open_sender(
    board: Switchboard,
    hello: Hello,
    *,
    clock: Clock,
    counters: SenderCounters,
    outbox: int = 500,
    outbox_bytes: int = 64 * 1024 * 1024,
    stop: Callable[[], bool] = lambda: False,
    jpeg_quality: int | None = None,
) -> Sender:
    """Connect a worker to `board`; arguments as in `Sender`."""
    peer = f"{hello.camera_id}.{hello.incarnation}".encode("ascii")
    return Sender(
        _InprocWorkerLink(board, peer, clock),
        hello,
        clock=clock,
        counters=counters,
        outbox=outbox,
        outbox_bytes=outbox_bytes,
        stop=stop,
        jpeg_quality=jpeg_quality,
    )


def open_receiver(
    board: Switchboard,
    *,
    clock: Clock,
    epoch: int,
    counters: ReceiverCounters,
    window: int = 64,
    on_rejected: Callable[[MessageError], None] = lambda _: None,
    knows: Callable[[CameraId], bool] = lambda _: True,
) -> Receiver:
    """Connect the matcher to `board`; arguments as in `Receiver`."""
    return Receiver(
        _InprocMatcherLink(board, clock),
        epoch=epoch,
        window=window,
        counters=counters,
        on_rejected=on_rejected,
        knows=knows,
    )
