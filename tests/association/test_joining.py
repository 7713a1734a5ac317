"""The evidence that two identities are one person, and what it is worth."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.association.assignment import Linkage, Problem, link_values
from streamreid.association.joining import JoinMap, JoinSettings, join_value

LINKAGE = Linkage()
odds = st.lists(
    st.lists(st.floats(-20, 20) | st.just(math.nan), min_size=3, max_size=3),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(odds)
def test_one_track_against_an_identity_counts_like_a_link(rows: list[list[float]]) -> None:
    """A join of a single track is the value that linking it would have had."""
    row = np.array(rows[:1])
    problem = Problem(
        np.hstack([row, [[math.nan]]]), np.array([7, 7, 7, -1]), np.zeros((1, 4), np.bool_)
    )
    value, columns = link_values(problem, np.array([0, 0, 0, 1]), LINKAGE)
    linked = float(value[0, list(columns).index(0)])
    if np.isnan(row).all():
        assert join_value(row, LINKAGE) == -math.inf
    else:
        assert join_value(row, LINKAGE) == pytest.approx(linked)


@settings(max_examples=100, deadline=None)
@given(odds, st.floats(-5, 5))
def test_more_alike_is_never_worse_and_sides_do_not_matter(
    rows: list[list[float]], more: float
) -> None:
    table = np.array(rows)
    value = join_value(table, LINKAGE)
    assert join_value(table.T, LINKAGE) == pytest.approx(value)
    if more >= 0:
        assert join_value(table + more, LINKAGE) >= value - 1e-9


def test_a_pair_that_cannot_be_compared_speaks_against() -> None:
    known, missing = np.array([[3.0, 3.0]]), np.array([[3.0, math.nan]])
    assert join_value(missing, LINKAGE) < join_value(known, LINKAGE) == pytest.approx(3.0)


@given(st.floats(-10, 10), st.integers(1, 60))
def test_large_identities_need_more(value: float, pairs: int) -> None:
    chance = JoinMap(slope=1.2, offset=0.3, size=0.5)
    assert chance.probability(value, pairs + 1) < chance.probability(value, pairs)
    assert chance.probability(value + 0.5, pairs) > chance.probability(value, pairs)


def test_nothing_known_is_never_joined() -> None:
    assert JoinMap().probability(-math.inf, 4) == JoinMap().probability(9.0, 0) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"tries": -1},
        {"bridge": -0.1},
        {"tracks": 0},
        {"least_pairs": 0},
        {"least_probability": 1.0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JoinSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"slope": 0.0}, {"size": -1.0}])
def test_maps_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="slope"):
        JoinMap(**wrong)
