"""The same text is passed on seldom, and none is lost from the count."""

from streamreid.runtime.throttle import Throttle
from tests.fakes import ManualClock


def test_the_same_text_is_said_at_once_then_seldom_with_its_count() -> None:
    clock, said = ManualClock(), list[tuple[str, int]]()
    throttle = Throttle(lambda text, count: said.append((text, count)), clock=clock, every_s=10.0)
    for _ in range(5):
        throttle("refused")
    throttle("rejected")
    assert said == [("refused", 1), ("rejected", 1)]
    clock.advance(10.0)
    throttle("refused")
    assert said[-1] == ("refused", 5)
    throttle("refused")
    assert len(said) == 3


def test_texts_of_one_kind_are_counted_together() -> None:
    said = list[tuple[str, int]]()
    throttle = Throttle(lambda text, count: said.append((text, count)), clock=ManualClock())
    for number in range(3):
        throttle(f"seq {number}", kind="field")
    assert said == [("seq 0", 1)]


def test_made_up_texts_fill_no_memory() -> None:
    said = list[str]()
    throttle = Throttle(lambda text, _: said.append(text), clock=ManualClock())
    for number in range(10_000):
        throttle(f"text {number}")
    assert len(said) == 10_000
    assert len(throttle._said) <= 64
