"""Agreement of identities with people, against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.evaluation.clustering import (
    Search,
    clopper_pearson,
    cluster_figures,
    false_link_rate,
    fnir_at_fpir,
    majority,
)


def test_figures_by_hand() -> None:
    """Person 1 is split into {a, a} and {b}; group b also holds person 2."""
    figures = cluster_figures([1, 1, 1, 2], ["a", "a", "b", "b"])
    assert figures.pair_precision == pytest.approx(1 / 2)
    assert figures.pair_recall == pytest.approx(1 / 3)
    assert figures.pair_f1 == pytest.approx(0.4)
    assert figures.bcubed_precision == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)
    assert figures.bcubed_recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1) / 4)
    assert figures.idf1 == pytest.approx(3 / 4)
    assert (figures.identities, figures.true_identities) == (2, 2)
    assert (figures.false_merges, figures.false_splits) == (1, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_ranges_and_perfection(items: list[tuple[int, int]]) -> None:
    person, identity = [item[0] for item in items], [item[1] for item in items]
    figures = cluster_figures(person, identity)
    for name in ("pair_precision", "pair_recall", "pair_f1", "bcubed_f1", "idf1"):
        assert 0.0 <= getattr(figures, name) <= 1.0
    perfect = cluster_figures(person, [f"x{one}" for one in person])
    assert perfect.pair_f1 == perfect.bcubed_f1 == perfect.idf1 == 1.0
    swapped = cluster_figures(identity, person)
    assert swapped.pair_precision == pytest.approx(figures.pair_recall)
    assert swapped.idf1 == pytest.approx(figures.idf1)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        cluster_figures([], [])


def test_links_and_searches() -> None:
    searches = [
        Search(known=False, probability=0.2, correct=False, linked=False),
        Search(known=True, probability=0.9, correct=True, linked=True),
        Search(known=True, probability=0.7, correct=False, linked=True),
        Search(known=True, probability=0.1, correct=True, linked=False),
    ]
    assert false_link_rate(searches) == (1, 2)
    assert fnir_at_fpir(searches, 0.1) == pytest.approx(2 / 3)
    assert fnir_at_fpir(searches, 1.0) == pytest.approx(1 / 3)
    assert fnir_at_fpir([], 0.1) == 1.0


@pytest.mark.parametrize(
    ("events", "trials", "low", "high"),
    [(0, 100, 0.0, 0.0362), (2, 100, 0.0024, 0.0704), (100, 100, 0.9638, 1.0), (0, 0, 0.0, 1.0)],
)
def test_clopper_pearson(events: int, trials: int, low: float, high: float) -> None:
    np.testing.assert_allclose(clopper_pearson(events, trials), (low, high), atol=2e-4)


def test_majority_prefers_who_came_first() -> None:
    assert majority([3, 5, 5, 3]) == 3
    assert majority([3, 5, 5]) == 5
