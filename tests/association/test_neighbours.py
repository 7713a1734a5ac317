"""Neighbourhood similarity: its range, its symmetry, and what it is for."""

from copy import deepcopy
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.association.neighbours import NeighbourGraph, NeighbourSettings
from streamreid.types import TrackKey


def graph_of(logits: np.ndarray, **wishes: float) -> NeighbourGraph:
    graph = NeighbourGraph(NeighbourSettings(**wishes))  # type: ignore[arg-type]
    for first in range(len(logits)):
        for second in range(first):
            graph.add(TrackKey(first), TrackKey(second), float(logits[first, second]))
    return graph


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 20))
def test_is_symmetric_and_a_share(seed: int, count: int) -> None:
    logits = np.random.default_rng(seed).normal(-3, 3, (count, count))
    graph = graph_of(logits, count=5)
    for first in range(count):
        assert graph.similarity(TrackKey(first), TrackKey(first)) == pytest.approx(1.0)
        for second in range(first):
            value = graph.similarity(TrackKey(first), TrackKey(second))
            assert -1e-12 <= value <= 1.0 + 1e-12
            assert value == pytest.approx(graph.similarity(TrackKey(second), TrackKey(first)))


def test_common_neighbours_speak_for_a_weak_pair() -> None:
    """0 and 1 hardly match, but both match 2, 3 and 4; 5 matches 0 as well as 1 does."""
    logits = np.full((9, 9), -8.0)
    for one in (0, 1):
        for other in (2, 3, 4):
            logits[one, other] = logits[other, one] = 3.0
    logits[1, 0] = logits[5, 0] = -1.0
    logits[6, 5] = logits[7, 5] = logits[7, 6] = 3.0
    graph = graph_of(logits, count=4)
    assert graph.similarity(TrackKey(0), TrackKey(1)) > 2 * graph.similarity(
        TrackKey(0), TrackKey(5)
    )


def test_does_not_depend_on_the_order_of_scores() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(-3, 3, (12, 12))
    pairs = [(first, second) for first in range(12) for second in range(first)]
    values = []
    for _ in range(3):
        graph = NeighbourGraph(NeighbourSettings(count=20))
        for first, second in rng.permutation(pairs).tolist():
            graph.add(TrackKey(first), TrackKey(second), float(logits[first, second]))
        values.append([graph.similarity(TrackKey(one), TrackKey(two)) for one, two in pairs])
    np.testing.assert_allclose(values[0], values[1], atol=1e-12)
    np.testing.assert_allclose(values[0], values[2], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(0, 4))
def test_what_it_keeps_is_what_it_would_work_out_again(seed: int, count: int, expand: int) -> None:
    rng = np.random.default_rng(seed)
    graph = NeighbourGraph(NeighbourSettings(count=count, expand=expand))
    alive = [TrackKey(number) for number in range(14)]
    for _ in range(60):
        first, second = (alive[place] for place in rng.choice(len(alive), 2, replace=False))
        graph.add(first, second, float(rng.normal(-2, 3)))
        if rng.random() < 0.05 and len(alive) > 4:
            graph.forget(alive.pop(int(rng.integers(len(alive)))))
        anew = deepcopy(graph)
        for kept in (anew._own, anew._expanded, anew._users):
            kept.clear()
        for one, other in rng.choice(alive, (6, 2)):
            assert graph.similarity(one, other) == anew.similarity(one, other)
    for track in range(14):
        graph.forget(TrackKey(track))
        graph.similarity(TrackKey(track), TrackKey(0))  # somebody who is no longer known
    assert not any((graph._lists, graph._nearest, graph._own, graph._expanded, graph._users))


def test_a_score_leaves_alone_what_is_known_about_others() -> None:
    """Two groups of people who never met: news about one costs nothing in the other."""
    graph = NeighbourGraph(NeighbourSettings())
    groups = [[TrackKey(place + start) for place in range(6)] for start in (0, 10)]
    for group in groups:
        for first, second in combinations(group, 2):
            graph.add(first, second, 2.0)
        for first, second in combinations(group, 2):
            graph.similarity(first, second)
    graph.add(groups[0][0], groups[0][1], 3.0)
    assert set(graph._expanded) == set(groups[1])


def test_lists_stay_short_and_forget() -> None:
    graph = NeighbourGraph(NeighbourSettings(count=3))
    for other in range(1, 100):
        graph.add(TrackKey(0), TrackKey(other), float(other))
    assert len(graph._lists[TrackKey(0)]) <= 6
    before = graph.similarity(TrackKey(0), TrackKey(99))
    graph.forget(TrackKey(99))
    assert graph.similarity(TrackKey(0), TrackKey(99)) < before


@pytest.mark.parametrize("wishes", [{"count": 0}, {"mix": 1.5}, {"sharpness": 0.0}, {"expand": -1}])
def test_refuses_what_makes_no_sense(wishes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="count"):
        NeighbourSettings(**wishes)  # type: ignore[arg-type]
