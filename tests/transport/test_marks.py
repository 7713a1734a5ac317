"""Progress marks keep their places, are bounded, and are told again when they must be."""

import math

import pytest

from streamreid.transport.marks import Marks


def told(marks: Marks, *, unsent: float = math.inf, unsettled: float = math.inf) -> list[float]:
    """Tell all that may be told."""
    times = []
    while (at_s := marks.next_s(unsent)) is not None:
        marks.mark_told(unsettled)
        times.append(at_s)
    return times


@pytest.mark.parametrize(
    ("live", "times"),
    [(False, [1.0, 3.0, 4.0]), (True, [4.0])],
    ids=["a file's marks keep their places", "live, the newest is enough"],
)
def test_marks_between_messages(live: bool, times: list[float]) -> None:
    marks = Marks(live=live)
    for order, at_s in ((0, 1.0), (1, 2.0), (1, 3.0), (2, 4.0)):
        marks.put(order, at_s)
    assert told(marks) == times


def test_a_mark_never_overtakes_what_was_made_before_it() -> None:
    marks = Marks(live=False)
    for order in range(4):
        marks.put(order, float(order))
    assert told(marks, unsent=2) == [0.0, 1.0]
    assert len(marks) == 2
    assert told(marks, unsent=3) == [2.0]


def test_the_number_under_way_is_bounded() -> None:
    marks = Marks(live=False)
    for order in range(100):
        marks.put(order, float(order))
    assert len(told(marks)) == 64
    marks.heard(10)
    assert len(told(marks)) == 10


def test_a_new_matcher_is_told_what_lies_between_the_messages_it_gets() -> None:
    marks = Marks(live=False)
    for order in range(6):
        marks.put(order, float(order))
    # messages 1 to 3 are settled, 4 and later are not
    assert told(marks, unsettled=4) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    marks.tell_again()
    assert told(marks, unsettled=4) == [3.0, 4.0, 5.0]
