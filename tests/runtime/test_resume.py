"""Where a worker begins that takes the place of another one."""

import math
import os
from pathlib import Path

import pytest

from streamreid.runtime.conservation import close_books
from streamreid.runtime.counter_rows import ended_cameras, read_counters
from streamreid.runtime.counter_table import SOURCE_STATES
from streamreid.runtime.counters import create_counters
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.resume import Start, has_crashed, start_of
from streamreid.types import CameraId
from tests.fakes import ManualClock

DOOR = CameraId("door")


def begin(run_dir: Path, *, live: bool = False) -> Start:
    """How a worker begins now, which is later than all those before it began."""
    earlier = len(read_counters(run_dir))
    return start_of(run_dir, DOOR, live=live, clock=ManualClock(1000.0 + earlier))


def lives(run_dir: Path, captured_at_s: float | None, end: str = "crash") -> Start:
    """A worker that reads to some time, or nothing, and crashes or ends; gives how it began."""
    start = begin(run_dir)
    counters = create_counters(
        run_dir, "camera", DOOR, start.incarnation, clock=ManualClock(), gauges=start.gauges
    )
    if captured_at_s is not None:
        counters.set("last_frame_at_s", 1.0)
        counters.set("last_capture_at_s", captured_at_s)
    if end == "crash":
        counters.close()
        close_books(run_dir, read_counters(run_dir)[-1])
    else:
        counters.set("source_state", SOURCE_STATES.index(end))
        counters.mark_closed()
        counters.close()
    return start


def test_the_first_worker_begins_at_the_beginning(tmp_path: Path) -> None:
    start = begin(tmp_path)
    assert (start.after_s, start.reached_s) == (-math.inf, -math.inf)
    assert begin(tmp_path).incarnation != start.incarnation


@pytest.mark.parametrize("reached_s", [None, 0.0, 50.0])
def test_a_file_is_read_again_under_the_same_number(
    tmp_path: Path, reached_s: float | None
) -> None:
    first = lives(tmp_path, reached_s)
    again = begin(tmp_path)
    assert (again.incarnation, again.after_s) == (first.incarnation, -math.inf)
    assert again.reached_s == (-math.inf if reached_s is None else reached_s)


@pytest.mark.parametrize(
    "others", [[70.0], [20.0], [None], [20.0, None, 30.0], [70.0, 60.0, 80.0]], ids=str
)
def test_crashes_elsewhere_change_nothing(tmp_path: Path, others: list[float | None]) -> None:
    first = lives(tmp_path, 50.0)
    for reached_s in others:
        assert lives(tmp_path, reached_s).incarnation == first.incarnation
    assert begin(tmp_path) == Start(
        first.incarnation, reached_s=max([50.0, *(s for s in others if s is not None)])
    )


def test_a_frame_that_killed_twice_is_left_behind(tmp_path: Path) -> None:
    first = lives(tmp_path, 50.0)
    lives(tmp_path, None)  # an accident on the way
    lives(tmp_path, 50.0)
    behind = lives(tmp_path, 70.0)
    assert behind.incarnation != first.incarnation
    assert (behind.after_s, behind.reached_s) == (50.0, -math.inf)
    # and what is behind it is read again as often as it takes
    again = begin(tmp_path)
    assert again == Start(behind.incarnation, after_s=50.0, reached_s=70.0)


@pytest.mark.parametrize("end", ["running", "ended", "failed"])
def test_after_an_end_in_order_everything_begins_anew(tmp_path: Path, end: str) -> None:
    first = lives(tmp_path, 50.0, end)
    start = begin(tmp_path)
    assert start.incarnation != first.incarnation
    assert start.after_s == -math.inf


def test_a_live_camera_begins_now(tmp_path: Path) -> None:
    first = lives(tmp_path, 50.0)
    start = begin(tmp_path, live=True)
    assert start.incarnation != first.incarnation
    assert start.after_s == -math.inf


def test_a_worker_that_died_after_its_work_was_done_has_finished(tmp_path: Path) -> None:
    counters = create_counters(tmp_path, "camera", DOOR, 1, clock=ManualClock())
    counters.set("source_state", SOURCE_STATES.index("ended"))
    counters.set("complete", 1)
    counters.close()
    ledger = Ledger(tmp_path, lambda _: None)
    assert not ledger.has_finished(DOOR)
    ledger.worker_died("camera", DOOR, os.getpid())
    assert ledger.has_finished(DOOR)
    assert ended_cameras(tmp_path) == {DOOR}
    assert not has_crashed(read_counters(tmp_path)[0])
