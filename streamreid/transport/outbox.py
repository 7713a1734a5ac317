"""What one worker still owes the matcher, per kind of message: bounds, credits, and the books.

No socket and no clock: `sender.py` drives it, and its rules can be tested alone.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from streamreid.messages import Disposition

DropReason = Literal["queue_full", "stale", "rejected", "disk_full", "shutdown", "worker_crash"]
"""Why a produced message never reached the store."""

DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)

_REASON_OF: dict[Disposition, DropReason] = {
    "stale": "stale",
    "rejected": "rejected",
    "disk_full": "disk_full",
}


class Book(Protocol):
    """The counters of one kind of message; every change keeps `produced - settled <= depth`."""

    def produce(self) -> None:
        """One message was made and lies in the outbox."""

    def drop(self, reason: DropReason, *, in_flight: bool = False) -> None:
        """One message left the outbox, or the window, and will never be stored."""

    def store(self, seq: int, *, in_flight: bool) -> None:
        """Message `seq` was acknowledged as committed."""

    def send(self) -> None:
        """One message moved from the outbox into the window."""

    def requeue(self, count: int) -> None:
        """`count` messages moved from the window back into the outbox."""


@dataclass(slots=True)
class _Pending:
    """One encoded message; `order` counts over all kinds."""

    seq: int
    order: int
    parts: list[bytes]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(map(len, self.parts))


class Outbox:
    """Messages of one kind that are made but not yet settled, oldest first.

    Args:
        book: Counters of this kind.
        max_messages: Most messages waiting to be sent.
        max_bytes: Most bytes waiting to be sent; one message may always wait.
        drops: True for live sources, where a full outbox drops its oldest; a file source asks
            `full` first.
    """

    def __init__(self, book: Book, *, max_messages: int, max_bytes: int, drops: bool) -> None:
        self._book = book
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._drops = drops
        self._waiting: deque[_Pending] = deque()
        self._waiting_bytes = 0
        self._in_flight: dict[int, _Pending] = {}
        self._next_seq = 0
        self._window = 0

    @property
    def pending(self) -> int:
        """Messages that are neither stored nor dropped."""
        return len(self._waiting) + len(self._in_flight)

    @property
    def in_flight(self) -> int:
        """Messages sent and not acknowledged."""
        return len(self._in_flight)

    @property
    def waiting(self) -> int:
        """Messages not yet sent, or to be sent again."""
        return len(self._waiting)

    @property
    def produced(self) -> int:
        """Messages made so far; also the next sequence number."""
        return self._next_seq

    @property
    def full(self) -> bool:
        """True when one more message would have to push out another."""
        return len(self._waiting) >= self._max_messages or self._waiting_bytes >= self._max_bytes

    @property
    def oldest_order(self) -> float:
        """Place of the oldest message not settled, sent or not; infinite without one."""
        sent = next(iter(self._in_flight.values()), None)
        return min(math.inf if sent is None else sent.order, self.head_order)

    @property
    def fill(self) -> float:
        """How full it is; 1 or more means that it drops, or makes the caller wait."""
        return max(len(self._waiting) / self._max_messages, self._waiting_bytes / self._max_bytes)

    def begin(self) -> int:
        """Count one more message and give its sequence number; `add` or `abandon` must follow."""
        seq = self._next_seq
        self._next_seq += 1
        self._book.produce()
        return seq

    def abandon(self, reason: DropReason) -> None:
        """Book the message just begun as dropped."""
        self._book.drop(reason)

    def add(self, seq: int, order: int, parts: list[bytes]) -> None:
        """Put the message just begun at the end, dropping the oldest when there is no room.

        Args:
            seq: What `begin` gave.
            order: Place of the message among those of all kinds.
            parts: Its bytes.
        """
        message = _Pending(seq, order, parts)
        self._waiting.append(message)
        self._waiting_bytes += message.size
        self._trim()

    def open_window(self, window: int) -> None:
        """A matcher is there: what it had not acknowledged goes back to the head, to be sent again.

        Args:
            window: How many messages it takes before it acknowledges.
        """
        self._window = window
        self._requeue()

    def close_window(self) -> None:
        """The matcher is gone: nothing is sent until `open_window`."""
        self._window = 0
        self._requeue()

    @property
    def head_order(self) -> float:
        """Place of the oldest message not yet sent among those of all kinds; infinite if none."""
        return self._waiting[0].order if self._waiting else math.inf

    def next_parts(self) -> list[bytes] | None:
        """Parts of the next message that may be sent now, or None."""
        if not self._waiting or len(self._in_flight) >= self._window:
            return None
        return self._waiting[0].parts

    def mark_sent(self) -> None:
        """The message that `next_parts` gave was taken by the socket."""
        message = self._waiting.popleft()
        self._waiting_bytes -= message.size
        self._in_flight[message.seq] = message
        self._book.send()

    def settle(self, items: Iterable[tuple[int, Disposition]]) -> list[int]:
        """Close messages that the matcher is done with; unknown numbers are ignored.

        Returns:
            Sequence numbers acknowledged as stored.
        """
        stored = []
        for seq, disposition in items:
            in_flight = self._in_flight.pop(seq, None) is not None
            if not in_flight and not self._remove_waiting(seq):
                continue
            reason = _REASON_OF.get(disposition)
            if reason is None:
                self._book.store(seq, in_flight=in_flight)
                stored.append(seq)
            else:
                self._book.drop(reason, in_flight=in_flight)
        return stored

    def give_up(self, reason: DropReason) -> int:
        """Drop everything that is not settled; returns how many that were."""
        self._requeue()
        count = len(self._waiting)
        for _ in range(count):
            self._book.drop(reason)
        self._waiting.clear()
        self._waiting_bytes = 0
        return count

    def _requeue(self) -> None:
        """Everything in flight goes back to the head, in order."""
        if not self._in_flight:
            return
        messages = sorted(self._in_flight.values(), key=lambda message: message.seq)
        self._in_flight.clear()
        self._waiting.extendleft(reversed(messages))
        self._waiting_bytes += sum(message.size for message in messages)
        self._book.requeue(len(messages))
        self._trim()

    def _trim(self) -> None:
        """Drop the oldest until the bounds hold; a file source never comes here with too many."""
        if not self._drops:
            return
        while len(self._waiting) > self._max_messages or (
            len(self._waiting) > 1 and self._waiting_bytes > self._max_bytes
        ):
            self._waiting_bytes -= self._waiting.popleft().size
            self._book.drop("queue_full")

    def _remove_waiting(self, seq: int) -> bool:
        """Take a requeued message out, because its acknowledgement came after all."""
        for index, message in enumerate(self._waiting):
            if message.seq == seq:
                del self._waiting[index]
                self._waiting_bytes -= message.size
                return True
            if message.seq > seq:
                break
        return False
