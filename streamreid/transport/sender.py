"""A camera worker's end of the protocol: numbers, credits, re-sending, and what happens when full.

Messages are counted before anything can fail. What is not acknowledged goes back to the head of the
outbox whenever a matcher says Welcome (a new one after a restart, or the same one after a broken
connection) and is sent again; the matcher recognises what it has already.
"""

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Literal, Protocol, Self

from streamreid.clock import Clock
from streamreid.errors import MessageError
from streamreid.messages import (
    KINDS,
    Ack,
    Bye,
    CropMessage,
    DetectionsMessage,
    Goodbye,
    Heard,
    Hello,
    Kind,
    TrackMessage,
    Welcome,
    Who,
    decode_matcher,
    encode,
)
from streamreid.transport.dispatch import Dispatcher
from streamreid.transport.handshake import Handshake
from streamreid.transport.link import WorkerLink
from streamreid.transport.marks import Marks
from streamreid.transport.outbox import Book, Outbox
from streamreid.types import (
    Crop,
    Float32Array,
    Float64Array,
    Int64Array,
    TimeSource,
    TrackSummary,
)

_TURN_S = 0.05


class SenderCounters(Protocol):
    """The counters that the sender keeps up to date."""

    def book(self, kind: Kind) -> Book:
        """The books of one kind."""

    def add(self, name: Literal["turns", "welcomes", "refusals"], count: int = 1) -> None:
        """Raise a counter."""

    def set(self, name: Literal["connected", "last_ack_at_s"], value: float) -> None:
        """Set a gauge."""


class Sender:
    """Sends one worker's messages over a link; use `open_sender` of zeromq.py or inproc.py.

    Args:
        link: Connection to the matcher.
        hello: Who this worker is; a file source (`live=False`) waits where a live one drops.
        clock: For retries and the time of the last acknowledgement.
        counters: Where everything is counted.
        outbox: Most messages of each kind that wait to be sent.
        outbox_bytes: Most bytes of each kind that wait to be sent.
        stop: Asked while a full outbox makes the caller wait; True gives up waiting.
        jpeg_quality: Send crops as JPEG of this quality instead of raw pixels.
        on_refused: Told when the matcher refuses the connection.
    """

    def __init__(
        self,
        link: WorkerLink,
        hello: Hello,
        *,
        clock: Clock,
        counters: SenderCounters,
        outbox: int = 500,
        outbox_bytes: int = 64 * 1024 * 1024,
        stop: Callable[[], bool] = lambda: False,
        jpeg_quality: int | None = None,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._link = link
        self._hello = hello
        self._clock = clock
        self._counters = counters
        self._stop = stop
        self._jpeg_quality = jpeg_quality
        self._on_refused = on_refused
        self._boxes: dict[Kind, Outbox] = {
            kind: Outbox(
                counters.book(kind),
                max_messages=outbox,
                max_bytes=outbox_bytes,
                drops=hello.live,
            )
            for kind in KINDS
        }
        self._order = 0
        self._marks = Marks(live=hello.live)
        self._dispatcher = Dispatcher(link, self._boxes, self._marks, live=hello.live)
        self._handshake = Handshake(self._say_hello, clock.monotonic_s())
        self._goodbye = False

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
    def pending(self) -> int:
        """Messages of all kinds that are neither stored nor dropped."""
        return sum(box.pending for box in self._boxes.values())

    @property
    def connected(self) -> bool:
        """True while a matcher has welcomed this worker."""
        return self._handshake.welcomed

    @property
    def epoch(self) -> int | None:
        """Number of the last matcher that said Welcome, or None."""
        return self._handshake.epoch

    def fill(self, kind: Kind) -> float:
        """How full the outbox of one kind is, in [0, 1]; a measure of pressure."""
        return min(1.0, self._boxes[kind].fill)

    def send_crop(self, crop: Crop) -> bool:
        """Count a crop and put it into the outbox.

        Returns:
            False when it was dropped at once: it breaks a limit, or `stop` ended the waiting.
        """
        return self._offer("crop", lambda seq: CropMessage(seq, crop))

    def send_detections(
        self,
        *,
        captured_at_s: Float64Array,
        track_id: Int64Array,
        track_started_at_s: Float64Array,
        boxes_xyxy: Float32Array,
        confidence: Float32Array,
    ) -> bool:
        """Count rows of detections, as in `DetectionsMessage`, and put them into the outbox."""
        return self._offer(
            "detections",
            lambda seq: DetectionsMessage(
                seq, captured_at_s, track_id, track_started_at_s, boxes_xyxy, confidence
            ),
        )

    def send_track(self, track: TrackSummary) -> bool:
        """Count the end of a track and put it into the outbox; it never overtakes its crops."""
        return self._offer("track", lambda seq: TrackMessage(seq, track))

    def progress(self, captured_at_s: float) -> None:
        """Say that nothing captured earlier will follow; sent after all that was made before."""
        self._marks.put(self._order, captured_at_s)
        self._send_ready()

    def describe(self, *, width: int, height: int, time_source: TimeSource) -> None:
        """Tell what became known only with the first frame."""
        self._hello = replace(self._hello, width=width, height=height, time_source=time_source)
        if self._handshake.welcomed:
            self._say_hello()

    def pump(self, timeout_s: float = 0.0) -> None:
        """Send what may be sent and take in what arrived; waits at most `timeout_s` for it."""
        self._counters.add("turns")
        self._send_ready()
        for event in self._link.poll(timeout_s):
            if event.kind == "up":
                self._close_windows()
                self._handshake.connected(self._clock.monotonic_s())
            elif event.kind == "down":
                self._close_windows()
                self._handshake.disconnected()
            elif event.kind == "refused":
                self._counters.add("refusals")
                self._on_refused()
            else:
                self._take(event.parts)
        self._handshake.repeat(
            self._clock.monotonic_s(),
            unanswered=any(box.in_flight for box in self._boxes.values()),
        )
        self._send_ready()

    def drain(self, timeout_s: float, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Pump until everything is settled.

        Args:
            timeout_s: Longest wait; may be infinite at the end of a file.
            stop: Asked in between; True ends the wait as well.

        Returns:
            False when something is left.
        """
        deadline_s = self._clock.monotonic_s() + timeout_s
        while self.pending or len(self._marks):
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0 or stop():
                return False
            self.pump(min(_TURN_S, left_s))
        return True

    def bye(self, reason: Literal["end", "stop", "failed"], timeout_s: float = 1.0) -> bool:
        """Book what is left as `shutdown` and tell the matcher that nothing more will come.

        Returns:
            True when the matcher confirmed it.
        """
        for box in self._boxes.values():
            box.give_up("shutdown")
        self._marks.clear()
        produced = [self._boxes[kind].produced for kind in KINDS]
        parts = encode(Bye(reason, (produced[0], produced[1], produced[2])))
        deadline_s = self._clock.monotonic_s() + timeout_s
        told_epoch: int | None = None
        while not self._goodbye:
            left_s = deadline_s - self._clock.monotonic_s()
            if left_s <= 0:
                return False
            if not self.connected:
                told_epoch = None
            elif told_epoch != self.epoch and self._link.send(parts):
                told_epoch = self.epoch
            self.pump(min(_TURN_S, left_s))
        return True

    def close(self) -> None:
        """Book what is left as `shutdown` and close the connection; safe to call twice."""
        for box in self._boxes.values():
            box.give_up("shutdown")
        self._link.close()

    def _offer(
        self, kind: Kind, make: Callable[[int], CropMessage | DetectionsMessage | TrackMessage]
    ) -> bool:
        """Number, encode and queue one message; the only way into an outbox."""
        box = self._boxes[kind]
        seq = box.begin()
        try:
            parts = encode(make(seq), jpeg_quality=self._jpeg_quality)
        except MessageError:
            box.abandon("rejected")
            return False
        if not self._hello.live:
            while box.full:
                if self._stop():
                    box.abandon("shutdown")
                    return False
                self.pump(_TURN_S)
        self._order += 1
        box.add(seq, self._order, parts)
        self._send_ready()
        return True

    def _send_ready(self) -> None:
        """Send everything that has a credit."""
        if self._handshake.welcomed:
            self._dispatcher.send_ready()

    def _close_windows(self) -> None:
        """No matcher knows us at this moment: nothing is sent until it says Welcome."""
        self._counters.set("connected", 0)
        for box in self._boxes.values():
            box.close_window()

    def _say_hello(self) -> None:
        self._link.send(encode(self._hello))

    def _take(self, parts: tuple[bytes | memoryview, ...]) -> None:
        """Act on one message of the matcher."""
        try:
            message = decode_matcher(parts)
        except MessageError:
            return
        self._handshake.heard_at_s = self._clock.monotonic_s()
        match message:
            case Welcome():
                self._accept_welcome(message)
            case Ack() if message.epoch == self.epoch:
                self._boxes[message.kind].settle(message.items)
                self._counters.set("last_ack_at_s", self._clock.now_s())
            case Heard():
                self._marks.heard(message.count)
            case Goodbye():
                self._goodbye = True
            case Who():
                if self._handshake.asked(self._clock.monotonic_s()):
                    self._close_windows()
            case _:
                pass

    def _accept_welcome(self, welcome: Welcome) -> None:
        """Open the windows and send again what the matcher may not have."""
        if not self._handshake.accept(welcome, self._clock.monotonic_s()):
            return
        self._marks.tell_again()
        self._counters.add("welcomes")
        self._counters.set("connected", 1)
        for box in self._boxes.values():
            box.open_window(welcome.window)
