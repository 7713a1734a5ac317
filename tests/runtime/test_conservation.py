"""Books that add up are left alone; books that do not are found, however they were closed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.clock import SystemClock
from streamreid.errors import StoreError
from streamreid.messages import Kind
from streamreid.runtime.conservation import close_books, conservation, missing_in_store
from streamreid.runtime.counter_rows import CounterRow, ended_cameras, read_counters
from streamreid.runtime.counter_table import SOURCE_STATES
from streamreid.runtime.counters import KindBook, ProcessCounters, create_counters
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.logs import Record
from streamreid.runtime.status import RunStatus
from tests.fakes import ManualClock


def open_books(run_dir: Path, incarnation: int = 1, ring: int = 4) -> ProcessCounters:
    return create_counters(run_dir, "camera", "door", incarnation, clock=ManualClock(), ring=ring)


def only_row(run_dir: Path) -> CounterRow:
    (row,) = read_counters(run_dir)
    return row


def work(book: KindBook, *, produced: int, sent: int, stored: int, dropped: int) -> None:
    for _ in range(produced):
        book.produce()
    for _ in range(dropped):
        book.drop("queue_full")
    for _ in range(sent):
        book.send()
    for seq in range(stored):
        book.store(seq, in_flight=True)


def test_sound_books_balance_at_every_moment(tmp_path: Path) -> None:
    counters = open_books(tmp_path)
    work(counters.book("crop"), produced=9, sent=5, stored=3, dropped=2)
    assert conservation(read_counters(tmp_path)) == []
    counters.close()


def test_a_message_that_vanished_is_found(tmp_path: Path) -> None:
    counters = open_books(tmp_path)
    book = counters.book("track")
    work(book, produced=9, sent=5, stored=3, dropped=2)
    book.requeue(0)
    book._u64[book._slot["outbox"]] -= 1  # a bug in the sender
    (found,) = conservation(read_counters(tmp_path))
    assert (found.camera, found.kind, found.difference) == ("door", "track", 1)
    assert "produced 9, stored 3, dropped 2, held 3" in found.problem
    counters.close()


def test_a_worker_that_ends_in_order_must_hold_nothing(tmp_path: Path) -> None:
    with open_books(tmp_path) as counters:
        work(counters.book("crop"), produced=3, sent=0, stored=0, dropped=1)
    (found,) = conservation(read_counters(tmp_path))
    assert (found.difference, "closed worker" in found.problem) == (2, True)


def test_what_a_killed_worker_held_is_booked_as_crash(tmp_path: Path) -> None:
    counters = open_books(tmp_path)
    work(counters.book("crop"), produced=9, sent=5, stored=3, dropped=2)
    counters.close()  # no books closed: as kill -9 leaves it
    closing = close_books(tmp_path, only_row(tmp_path))
    assert (closing.lost, closing.imbalances) == ({"crop": 4}, ())
    row = only_row(tmp_path)
    assert row.closed
    assert row.books["crop"].dropped["worker_crash"] == 4
    assert row.books["crop"].depth == 0
    assert conservation([row]) == []
    assert close_books(tmp_path, row).lost == {}


def test_a_crash_that_lost_more_than_was_held_is_an_imbalance(tmp_path: Path) -> None:
    counters = open_books(tmp_path)
    book = counters.book("crop")
    work(book, produced=5, sent=0, stored=0, dropped=0)
    book._u64[book._slot["outbox"]] = 3
    counters.close()
    closing = close_books(tmp_path, only_row(tmp_path))
    assert closing.lost == {"crop": 5}
    assert [one.difference for one in closing.imbalances] == [2]


STEPS = ("produce", "send", "store", "drop", "requeue")


@given(st.lists(st.sampled_from(STEPS), max_size=30), st.integers(0, 400))
def test_killed_between_any_two_writes_a_worker_never_lost_more_than_it_held(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[str], kill_after: int
) -> None:
    """The writes of all steps are replayed one by one, and the process dies after any of them."""
    run_dir = tmp_path_factory.mktemp("run")
    counters = open_books(run_dir)
    book = counters.book("crop")
    words = KilledAfter(book._u64, kill_after)
    book._u64 = words  # type: ignore[assignment]
    try:
        for step in steps:
            take_step(book, step)
    except Killed:
        pass
    counters.close()
    closing = close_books(run_dir, only_row(run_dir))
    assert closing.imbalances == ()
    assert conservation([only_row(run_dir)]) == []


class Killed(Exception):
    """The process is dead."""


class KilledAfter:
    """Memory whose writer dies before its n-th write."""

    def __init__(self, words: memoryview, writes: int) -> None:
        self._words = words
        self._left = writes

    def __getitem__(self, index: int) -> int:
        value: int = self._words[index]
        return value

    def __setitem__(self, index: int, value: int) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1
        self._words[index] = value


def take_step(book: KindBook, step: str) -> None:
    outbox, in_flight = (book._u64[book._slot[name]] for name in ("outbox", "in_flight"))
    if step == "produce":
        book.produce()
    elif step == "send" and outbox:
        book.send()
    elif step == "store" and in_flight:
        book.store(1, in_flight=True)
    elif step == "drop" and outbox:
        book.drop("queue_full")
    elif step == "requeue" and in_flight:
        book.requeue(in_flight)


def test_what_was_acknowledged_must_be_in_the_store(tmp_path: Path) -> None:
    counters = open_books(tmp_path, ring=4)
    work(counters.book("crop"), produced=6, sent=6, stored=6, dropped=0)
    store = {2, 3, 5}

    def lookup(camera: str, incarnation: int, kind: Kind, seqs: Sequence[int]) -> set[int]:
        assert (camera, incarnation) == ("door", 1)
        return store & set(seqs) if kind == "crop" else set(seqs)

    rows = read_counters(tmp_path, acknowledged=True)
    assert rows[0].acknowledged["crop"] == (2, 3, 4, 5)
    (found,) = missing_in_store(rows, lookup)
    assert (found.difference, "[4]" in found.problem) == (1, True)
    store.add(4)
    assert missing_in_store(rows, lookup) == []
    counters.close()


def test_a_run_that_was_killed_as_a_whole_is_closed_by_the_next(tmp_path: Path) -> None:
    counters = open_books(tmp_path)
    work(counters.book("crop"), produced=9, sent=5, stored=3, dropped=2)
    counters.close()
    log: list[Record] = []
    ledger = Ledger(tmp_path, log.append)
    ledger.begin()
    assert ledger.rows() == []
    assert [record["lost"] for record in log] == [{"crop": 4}]
    (earlier,) = read_counters(tmp_path, earlier=True)
    assert earlier.books["crop"].dropped["worker_crash"] == 4


def test_the_store_is_asked_once_for_each_acknowledged_message(tmp_path: Path) -> None:
    counters = open_books(tmp_path, ring=16)
    asked: list[tuple[int, ...]] = []

    def lookup(_camera: str, _incarnation: int, _kind: Kind, seqs: Sequence[int]) -> set[int]:
        asked.append(tuple(seqs))
        return set(seqs) - {7}

    ledger = Ledger(tmp_path, lambda _: None, lookup)
    book = counters.book("crop")
    for seq in range(5):
        work(book, produced=1, sent=1, stored=0, dropped=0)
        book.store(seq, in_flight=True)
    assert ledger.check() == []
    assert ledger.check() == []
    work(book, produced=1, sent=1, stored=0, dropped=0)
    book.store(7, in_flight=True)
    assert [one.difference for one in ledger.check()] == [1]
    assert asked == [(0, 1, 2, 3, 4), (7,)]
    counters.close()


def test_a_store_that_cannot_be_asked_is_no_imbalance(tmp_path: Path) -> None:
    def lookup(*_: object) -> set[int]:
        raise StoreError("locked")

    log: list[Record] = []
    ledger = Ledger(tmp_path, log.append, lookup)
    counters = open_books(tmp_path)
    work(counters.book("crop"), produced=1, sent=1, stored=1, dropped=0)
    assert ledger.check() == []
    assert [record["reason"] for record in log] == ["locked"]
    counters.close()


def test_old_workers_are_added_up_and_nothing_of_them_is_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, lambda _: None, keep_ended=2)
    for incarnation in range(1, 7):
        with open_books(tmp_path, incarnation) as counters:
            counters.add("frames_decoded", incarnation)
            counters.set("people_now", incarnation)
            work(counters.book("crop"), produced=3, sent=2, stored=2, dropped=1)
        ledger.rows()
        ledger.tidy()
    rows = ledger.rows()
    assert [row.incarnation for row in rows] == [4, 5, 6]
    assert len(read_counters(tmp_path)) == 2
    status = RunStatus([], rows, (), stopping=False)
    assert status.counter("camera", "door", "frames_decoded") == 21
    counts = status.books("door")["crop"]
    assert (counts.produced, counts.stored, counts.dropped["queue_full"]) == (18, 12, 6)
    assert conservation(rows) == []


def read_until(run_dir: Path, incarnation: int, captured_at_s: float, end: str) -> None:
    """A worker that read to some time and then crashed, or ended in some state."""
    counters = open_books(run_dir, incarnation)
    if captured_at_s:
        counters.set("last_frame_at_s", 1.0)
        counters.set("last_capture_at_s", captured_at_s)
    counters.set("source_state", SOURCE_STATES.index("running" if end == "crash" else end))
    if end == "crash":
        counters.close()
        close_books(run_dir, read_counters(run_dir)[-1])
    else:
        counters.mark_closed()
        counters.close()


@pytest.mark.parametrize(
    ("end", "over"), [("ended", True), ("running", False), ("crash", False), ("failed", True)]
)
def test_which_cameras_nobody_needs_to_wait_for(tmp_path: Path, end: str, over: bool) -> None:
    read_until(tmp_path, 1, 5.0, end)
    assert (ended_cameras(tmp_path) == {"door"}) is over


def test_a_camera_that_is_given_up_is_over(tmp_path: Path) -> None:
    read_until(tmp_path, 1, 5.0, "crash")
    ledger = Ledger(tmp_path, lambda _: None)
    ledger.give_up("door", SystemClock())
    assert ended_cameras(tmp_path) == {"door"}
    assert ledger.check() == []


def test_a_problem_is_reported_once(tmp_path: Path) -> None:
    with open_books(tmp_path) as counters:
        counters.book("crop").produce()
    log: list[Record] = []
    ledger = Ledger(tmp_path, log.append)
    assert len(ledger.check()) == len(ledger.check()) == 1
    assert len(ledger.imbalances) == len(log) == 1
