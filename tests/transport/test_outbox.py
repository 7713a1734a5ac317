"""The outbox keeps its bounds and its books whatever happens in whatever order."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streamreid.messages import DISPOSITIONS, Disposition
from streamreid.runtime.counter_rows import Counts
from streamreid.runtime.counter_rows import read_row as read_counter_row
from streamreid.runtime.counters import ProcessCounters, counter_path, create_counters
from streamreid.transport.outbox import Outbox
from tests.fakes import ManualClock

LIMIT = 4
WINDOW = 3


def new_counters(run_dir: Path) -> ProcessCounters:
    return create_counters(run_dir, "camera", "door", 1, clock=ManualClock(), ring=16)


def crop_counts(run_dir: Path) -> Counts:
    row = read_counter_row(counter_path(run_dir, "camera", "door", 1))
    assert row is not None
    assert row.consistent
    return row.books["crop"]


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[ProcessCounters]:
    with new_counters(tmp_path) as made:
        yield made


def new_outbox(counters: ProcessCounters, *, drops: bool = True, max_bytes: int = 10_000) -> Outbox:
    return Outbox(counters.book("crop"), max_messages=LIMIT, max_bytes=max_bytes, drops=drops)


def put(box: Outbox, count: int, size: int = 10) -> None:
    for _ in range(count):
        seq = box.begin()
        box.add(seq, seq, [bytes(size)])


def send_all(box: Outbox) -> int:
    sent = 0
    while box.next_parts() is not None:
        box.mark_sent()
        sent += 1
    return sent


def test_a_full_live_outbox_drops_its_oldest(counters: ProcessCounters, tmp_path: Path) -> None:
    box = new_outbox(counters)
    put(box, LIMIT + 2)
    assert (box.waiting, box.head_order) == (LIMIT, 2)
    assert crop_counts(tmp_path).dropped["queue_full"] == 2


def test_a_full_file_outbox_says_so_and_keeps_everything(counters: ProcessCounters) -> None:
    box = new_outbox(counters, drops=False)
    put(box, LIMIT)
    assert box.full
    put(box, 1)
    assert box.waiting == LIMIT + 1


def test_bytes_are_bounded_but_one_message_may_always_wait(counters: ProcessCounters) -> None:
    box = new_outbox(counters, max_bytes=100)
    put(box, 1, size=500)
    assert box.waiting == 1
    put(box, 1, size=60)
    assert (box.waiting, box.head_order) == (1, 1)
    put(box, 1, size=30)
    assert box.waiting == 2


def test_nothing_is_sent_beyond_the_window(counters: ProcessCounters) -> None:
    box = new_outbox(counters)
    put(box, LIMIT)
    assert send_all(box) == 0
    box.open_window(WINDOW)
    assert send_all(box) == WINDOW
    box.settle([(0, "stored")])
    assert send_all(box) == 1


def test_a_new_matcher_gets_the_unacknowledged_again_in_order(counters: ProcessCounters) -> None:
    box = new_outbox(counters)
    box.open_window(WINDOW)
    put(box, 2)
    send_all(box)
    box.settle([(0, "stored")])
    put(box, 2)
    box.open_window(WINDOW)
    assert (box.in_flight, box.waiting, box.head_order) == (0, 3, 1)


def test_a_late_acknowledgement_takes_a_requeued_message_out(
    counters: ProcessCounters, tmp_path: Path
) -> None:
    box = new_outbox(counters)
    box.open_window(WINDOW)
    put(box, 3)
    send_all(box)
    box.close_window()
    assert box.settle([(1, "duplicate"), (99, "stored"), (1, "stored")]) == [1]
    counts = crop_counts(tmp_path)
    assert (counts.stored, counts.outbox, counts.in_flight) == (1, 2, 0)


def test_giving_up_books_everything_under_one_reason(
    counters: ProcessCounters, tmp_path: Path
) -> None:
    box = new_outbox(counters)
    box.open_window(2)
    put(box, 3)
    send_all(box)
    assert box.give_up("shutdown") == 3
    counts = crop_counts(tmp_path)
    assert (counts.dropped["shutdown"], counts.remainder, counts.depth) == (3, 0, 0)


class OutboxMachine(RuleBasedStateMachine):
    """Any order of events: bounds hold, and the file's books equal the outbox."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.run_dir = Path(self._folder.name)
        self.counters = new_counters(self.run_dir)
        self.box = new_outbox(self.counters)
        self.stored: set[int] = set()

    @rule(size=st.integers(0, 5000))
    def make(self, size: int) -> None:
        put(self.box, 1, size)

    @rule()
    def make_what_nobody_can_send(self) -> None:
        self.box.begin()
        self.box.abandon("rejected")

    @rule()
    def send(self) -> None:
        send_all(self.box)

    @rule(window=st.integers(1, WINDOW))
    def matcher_comes(self, window: int) -> None:
        self.box.open_window(window)

    @rule()
    def matcher_goes(self) -> None:
        self.box.close_window()

    @rule(items=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(DISPOSITIONS)), max_size=5))
    def acknowledge(self, items: list[tuple[int, Disposition]]) -> None:
        stored = self.box.settle(items)
        assert not self.stored.intersection(stored)
        self.stored.update(stored)

    @invariant()
    def bounds_hold(self) -> None:
        assert self.box.waiting <= LIMIT
        assert self.box.in_flight <= WINDOW

    @invariant()
    def books_balance(self) -> None:
        counts = crop_counts(self.run_dir)
        assert counts.remainder == counts.depth
        assert (counts.outbox, counts.in_flight) == (self.box.waiting, self.box.in_flight)
        assert counts.produced == self.box.produced
        assert counts.stored == len(self.stored)

    def teardown(self) -> None:
        self.counters.close()
        self._folder.cleanup()


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
