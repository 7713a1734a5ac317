"""Grouping tracks: what belongs together, what must not, and together rather than one by one."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.association.assignment import Linkage, Problem, associate, link_values
from streamreid.types import Float64Array, Int64Array

LINKAGE = Linkage()


def problem_of(
    pairs: dict[tuple[int, int], float],
    count: int,
    *,
    conflicts: tuple[tuple[int, int], ...] = (),
    anchor: tuple[int, ...] | None = None,
) -> Problem:
    odds = np.full((count, count), -4.0)
    for (one, other), value in pairs.items():
        odds[one, other] = odds[other, one] = value
    conflict = np.zeros((count, count), dtype=np.bool_)
    for one, other in conflicts:
        conflict[one, other] = conflict[other, one] = True
    return free_rows(odds, np.array(anchor or [-1] * count, dtype=np.int64), conflict)


def free_rows(odds: Float64Array, anchor: Int64Array, conflict: npt.NDArray[np.bool_]) -> Problem:
    """A problem from tables of all nodes with all nodes."""
    free = anchor < 0
    return Problem(odds[free], anchor, conflict[free])


def groups(problem: Problem, threshold: float = 0.0) -> set[frozenset[int]]:
    member = associate(problem, threshold=threshold, linkage=LINKAGE)
    return {frozenset(np.flatnonzero(member == group).tolist()) for group in set(member.tolist())}


def test_links_above_the_threshold_and_leaves_the_rest_new() -> None:
    problem = problem_of({(0, 1): 3.0, (2, 3): 1.0}, 4)
    assert groups(problem) == {frozenset({0, 1}), frozenset({2, 3})}
    assert groups(problem, 2.0) == {frozenset({0, 1}), frozenset({2}), frozenset({3})}


def test_side_by_side_people_compete_as_a_whole() -> None:
    """First come, first served would give 2 to 0, and leave 3 without its only choice."""
    pairs = {(0, 2): 3.0, (0, 3): 2.9, (1, 2): 2.9, (1, 3): -3.0}
    problem = problem_of(pairs, 4, conflicts=((2, 3), (0, 1)))
    assert groups(problem) == {frozenset({0, 3}), frozenset({1, 2})}


def test_conflicts_hold_through_groups() -> None:
    """0 and 2 cannot be one person, however well 1 fits both."""
    problem = problem_of({(0, 1): 6.0, (1, 2): 5.0, (0, 2): 5.0}, 3, conflicts=((0, 2),))
    assert groups(problem) == {frozenset({0, 1}), frozenset({2})}


def test_identities_are_never_joined_by_themselves() -> None:
    problem = problem_of({(0, 1): 9.0, (0, 2): 4.0}, 3, anchor=(7, 8, -1))
    assert groups(problem) == {frozenset({0, 2}), frozenset({1})}


def test_one_lucky_pair_does_not_join_two_crowds() -> None:
    pairs = {(0, 1): 5.0, (0, 2): 5.0, (1, 2): 5.0, (3, 4): 5.0, (3, 5): 5.0, (4, 5): 5.0}
    problem = problem_of(pairs | {(2, 3): 3.0}, 6)
    assert groups(problem) == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}


def test_nothing_to_assign() -> None:
    assert len(associate(problem_of({}, 0), threshold=0.0, linkage=LINKAGE)) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 14))
def test_constraints_hold_for_any_input(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 4, (count, count))
    odds = (odds + odds.T) / 2
    odds[rng.random((count, count)) < 0.2] = np.nan
    odds = np.where(np.isnan(odds.T), np.nan, odds)
    conflict = rng.random((count, count)) < 0.2
    conflict = (conflict | conflict.T) & ~np.eye(count, dtype=np.bool_)
    anchor = np.where(rng.random(count) < 0.3, np.arange(count), -1)
    member = associate(free_rows(odds, anchor, conflict), threshold=0.0, linkage=LINKAGE)
    same = member[:, None] == member[None, :]
    assert not (same & conflict).any()
    fixed = anchor >= 0
    assert len(set(member[fixed].tolist())) == int(fixed.sum())


def test_values_leave_the_node_itself_out() -> None:
    problem = problem_of({(0, 1): 3.0}, 3, conflicts=((1, 2),))
    member = associate(problem, threshold=0.0, linkage=LINKAGE)
    value, columns = link_values(problem, member, LINKAGE)
    own = [int(np.flatnonzero(columns == member[node])[0]) for node in range(3)]
    assert value[0, own[0]] == pytest.approx(3.0)
    assert value[2, own[2]] == -np.inf
    assert value[2, own[0]] == -np.inf
    assert value[0, own[2]] == pytest.approx(-4.0)


@pytest.mark.parametrize("wishes", [{"sharpness": 0.0}, {"missing_weight": 2.0}])
def test_linkage_refuses_what_makes_no_sense(wishes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Linkage(**wishes)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="log_odds"):
        Problem(np.zeros((2, 2)), np.zeros(3, np.int64), np.zeros((3, 3), np.bool_))
