"""One matcher and some workers over any transport, driven turn by turn from one thread."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreid.clock import Clock, SystemClock
from streamreid.errors import MessageError
from streamreid.messages import CropMessage, DetectionsMessage, Disposition, Kind, TrackMessage
from streamreid.runtime.counter_rows import Counts, read_counters
from streamreid.runtime.counters import create_counters
from streamreid.transport import inproc, zeromq
from streamreid.transport.receiver import Received, Receiver
from streamreid.transport.sender import Sender
from streamreid.types import CameraId
from tests.builders import CAMERA, make_hello

TURNS = 2000


@dataclass
class Network:
    """Makes senders and receivers; `settle` lets messages travel.

    Attributes:
        open_sender: Opens a worker's end.
        open_receiver: Opens the matcher's end.
        run_dir: Where counters lie.
        turn_s: How long one turn waits.
        endpoint: Address, for those who come without being asked.
        break_connection: Loses what is under way between one worker and the matcher.
    """

    open_sender: Callable[..., Sender]
    open_receiver: Callable[..., Receiver]
    run_dir: Path
    clock: Clock
    turn_s: float
    endpoint: str = ""
    break_connection: Callable[[Sender], None] = lambda _: None
    rejected: list[MessageError] = field(default_factory=list)
    opened: list[Any] = field(default_factory=list)

    def sender(
        self,
        *,
        camera_id: CameraId = CAMERA,
        incarnation: int = 7,
        live: bool = True,
        **options: Any,
    ) -> Sender:
        """A worker with its own counters."""
        counters = create_counters(self.run_dir, "camera", camera_id, incarnation, clock=self.clock)
        hello = make_hello(camera_id=camera_id, incarnation=incarnation, live=live)
        sender = self.open_sender(hello, clock=self.clock, counters=counters, **options)
        self.opened += [sender, counters]
        return sender

    def receiver(self, *, epoch: int = 1, **options: Any) -> Receiver:
        """A matcher with its own counters."""
        counters = create_counters(self.run_dir, "matcher", "matcher", epoch, clock=self.clock)
        receiver = self.open_receiver(
            epoch=epoch, counters=counters, on_rejected=self.rejected.append, **options
        )
        self.opened += [receiver, counters]
        return receiver

    def books(self, kind: Kind = "crop", name: str = CAMERA) -> Counts:
        """Books of one worker as they stand in its file."""
        return next(row.books[kind] for row in read_counters(self.run_dir) if row.name == name)

    def value(self, name: str, role: str = "matcher") -> float:
        """A counter of the newest process of a role."""
        return [row for row in read_counters(self.run_dir) if row.role == role][-1].values[name]

    def until(self, done: Callable[[], bool], *turning: Callable[[], object]) -> None:
        """Let time pass until something is true."""
        for _ in range(TURNS):
            if done():
                return
            for turn in turning:
                turn()
        raise AssertionError("it did not happen within the turns allowed")

    def connect(self, sender: Sender, matcher: "Matcher") -> None:
        """Wait until the matcher has welcomed the worker."""
        self.until(lambda: sender.connected, lambda: sender.pump(self.turn_s), matcher.turn)

    def close(self) -> None:
        """Close what was opened, workers first."""
        for one in self.opened:
            one.close()


class Matcher:
    """A receiver that stores what it gets, exactly once, and acknowledges.

    Args:
        network: Where it lives.
        store: What survives the matcher: (camera, incarnation, kind, seq).
        disposition: What it tells about everything new.
    """

    def __init__(
        self,
        network: Network,
        store: set[tuple[str, int, Kind, int]],
        *,
        epoch: int = 1,
        disposition: Disposition = "stored",
        **options: Any,
    ) -> None:
        self.network = network
        self.store = store
        self.disposition = disposition
        self.receiver = network.receiver(epoch=epoch, **options)
        self.heard: list[Received] = []
        self.acknowledging = True
        self._silent: list[tuple[CameraId, int, Kind, int]] = []

    def turn(self) -> None:
        """Take what arrived; acknowledge unless told to be silent."""
        for received in self.receiver.poll(self.network.turn_s):
            self.heard.append(received)
            message = received.message
            if isinstance(message, CropMessage | DetectionsMessage | TrackMessage):
                name = (received.camera_id, received.incarnation, kind_of(message), message.seq)
                if self.acknowledging:
                    self.answer(name)
                else:
                    self._silent.append(name)

    def speak(self) -> None:
        """Acknowledge what was held back, and everything from now on."""
        self.acknowledging = True
        for name in self._silent:
            self.answer(name)
        self._silent.clear()

    def answer(self, name: tuple[CameraId, int, Kind, int]) -> None:
        """Store one message and tell its worker."""
        camera_id, incarnation, kind, seq = name
        if self.disposition != "stored":
            verdict: Disposition = self.disposition
        else:
            verdict = "duplicate" if name in self.store else "stored"
            self.store.add(name)
        self.receiver.ack(camera_id, incarnation, kind, [(seq, verdict)])

    def messages(self, *types: type) -> list[Any]:
        """What was heard of some types."""
        return [one.message for one in self.heard if isinstance(one.message, types)]


def kind_of(message: CropMessage | DetectionsMessage | TrackMessage) -> Kind:
    """Kind of a counted message."""
    if isinstance(message, CropMessage):
        return "crop"
    return "track" if isinstance(message, TrackMessage) else "detections"


def inproc_network(run_dir: Path, clock: Clock) -> Network:
    """Everything in this process, with a clock driven by hand."""
    board = inproc.Switchboard()
    return Network(
        lambda hello, **options: inproc.open_sender(board, hello, **options),
        lambda **options: inproc.open_receiver(board, clock=clock, **options),
        run_dir,
        clock,
        turn_s=0.001,
        break_connection=lambda sender: _break_inproc(board, sender),
    )


def _break_inproc(board: inproc.Switchboard, sender: Sender) -> None:
    """Lose the connection of one worker."""
    peer = sender._link._peer  # type: ignore[attr-defined]
    board.detach_worker(peer)
    board._inbox.clear()
    board.attach_worker(peer)


def _break_zeromq(endpoint: str, sender: Sender) -> None:
    """Close the socket's connection; it then makes a new one."""
    link = sender._link
    link._socket.disconnect(endpoint)  # type: ignore[attr-defined]
    link._socket.connect(endpoint)  # type: ignore[attr-defined]


def zeromq_network(run_dir: Path, endpoint: str) -> Network:
    """Real sockets; contexts of their own."""
    return Network(
        lambda hello, **options: zeromq.open_sender(endpoint, hello, **options),
        lambda **options: zeromq.open_receiver(endpoint, **options),
        run_dir,
        SystemClock(),
        turn_s=0.005,
        endpoint=endpoint,
        break_connection=lambda sender: _break_zeromq(endpoint, sender),
    )
