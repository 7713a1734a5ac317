"""The size of the shortlist follows the gallery and keeps its promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.gallery.sizing import ShortlistSize


@given(
    places=st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 50_000)), max_size=60),
    asked=st.integers(0, 3000),
    gallery=st.integers(0, 100_000),
)
def test_size_is_between_what_is_asked_and_the_largest(
    places: list[tuple[int, int]], asked: int, gallery: int
) -> None:
    sizing = ShortlistSize(0.05, largest=1000)
    for place, more in places:
        sizing.note(place, place + more)
    assert asked <= sizing.size(asked, gallery) <= max(asked, 1000)


@pytest.mark.parametrize(("count", "promised"), [(0, 1.0), (1, 0.5), (19, 0.05), (500, 0.05)])
def test_promise_is_what_the_number_of_places_supports(count: int, promised: float) -> None:
    sizing = ShortlistSize(0.05)
    for _ in range(count):
        sizing.note(3, 1000)
    assert sizing.promised_miss_rate == promised


def test_few_places_give_the_largest_of_them() -> None:
    sizing = ShortlistSize(0.01)
    for place in (5, 80, 20):
        sizing.note(place, 1000)
    assert sizing.size(10, 1000) == 80
    assert sizing.size(10, 4000) == 320  # in proportion until the next calibration
    assert sizing.size(10, 10**6) == 1024


def test_a_doubled_gallery_asks_for_a_new_calibration_and_forgets_the_old_one() -> None:
    sizing = ShortlistSize(0.01, fresh=20)
    assert not sizing.due(499)
    assert sizing.due(1000)
    for _ in range(20):
        sizing.note(100, 1000)
    assert not sizing.due(1999)
    assert sizing.due(2001)
    for _ in range(19):
        sizing.note(30, 2001)
        assert sizing.size(0, 2000) == 200
    sizing.note(30, 2001)
    assert sizing.size(0, 2001) == 30
    assert not sizing.due(2001)
    assert not sizing.due(900)  # a gallery that shrinks keeps the calibration


def test_small_galleries_teach_nothing() -> None:
    sizing = ShortlistSize(0.01)
    sizing.note(300, 400)
    assert sizing.size(96, 20_000) == 96


def test_promise_is_kept_while_the_gallery_grows() -> None:
    """Places grow with the gallery to the power 0.7, as on real crops; one query in ten audited."""
    draw = np.random.default_rng(0)
    sizing = ShortlistSize(0.05)
    late, lost = 0, 0
    for gallery in np.geomspace(600, 20_000, 20_000).astype(int).tolist():
        place = int(min(gallery, np.ceil(0.02 * gallery**0.7 * draw.pareto(1.5) + 1)))
        size = sizing.size(20, gallery)
        late += 1
        lost += place > size
        if draw.random() < (0.1 if sizing.due(gallery) else 0.01):
            sizing.note(place, gallery)
    assert lost / late <= 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"miss_rate": 0.0}, "between 0 and 1"),
        ({"miss_rate": 0.1, "largest": 0}, "at least 1"),
        ({"miss_rate": 0.1, "fresh": 0}, "at least 1"),
    ],
)
def test_wrong_numbers_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShortlistSize(**options)  # type: ignore[arg-type]


def test_impossible_places_are_named() -> None:
    with pytest.raises(ValueError, match="between 1 and 10, got 11"):
        ShortlistSize(0.1).note(11, 10)
