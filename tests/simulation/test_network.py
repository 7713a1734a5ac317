"""People in a simulated network: one place at a time, true transition times, exact repeats."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from streamreid.errors import ConfigError
from streamreid.simulation.network import Crowd, Duration, Link, Network, Node, simulate_network
from streamreid.simulation.scenarios import SCENARIOS, ScenarioName, grid_network, scenario
from streamreid.types import CameraId

A, B = CameraId("a"), CameraId("b")


def test_same_seed_same_visits_and_another_seed_others() -> None:
    chosen = scenario("plain", people=40)
    first = simulate_network(chosen.network, chosen.crowd, seed=3)
    assert first == simulate_network(chosen.network, chosen.crowd, seed=3)
    assert first != simulate_network(chosen.network, chosen.crowd, seed=4)


@pytest.mark.parametrize("cameras", [4, 8, 16])
@pytest.mark.parametrize("name", SCENARIOS)
def test_nobody_is_in_two_places_at_once(name: ScenarioName, cameras: int) -> None:
    chosen = scenario(name, cameras=cameras, people=200, seed=1)
    visits = simulate_network(chosen.network, chosen.crowd, seed=1)
    assert {visit.person for visit in visits} == set(range(1, 201))
    disjoint = chosen.network.disjoint_pairs
    for person in range(1, 201):
        own = [visit for visit in visits if visit.person == person]
        assert all(visit.leave_s > visit.enter_s for visit in own)
        for here, there in pairwise(own):
            pair = frozenset((here.camera_id, there.camera_id))
            if len(pair) == 1 or pair in disjoint:
                assert there.true_enter_s >= here.true_leave_s


def test_overlapping_views_see_people_at_once() -> None:
    chosen = scenario("overlaps", people=200)
    visits = simulate_network(chosen.network, chosen.crowd, seed=0)
    both = 0
    for person in range(1, 201):
        own = [visit for visit in visits if visit.person == person]
        both += sum(there.true_enter_s < here.true_leave_s for here, there in pairwise(own))
    assert both > 50


def test_transition_times_follow_their_distribution() -> None:
    transit = Duration(20.0, spread=0.25)
    network = Network((Node(A, leave_share=0.0), Node(B, entry_weight=0.0)), (Link(A, B, transit),))
    visits = simulate_network(network, Crowd(people=400, max_visits=2), seed=0)
    times = {(visit.person, visit.camera_id): visit for visit in visits}
    seconds = [times[p, B].enter_s - times[p, A].leave_s for p in range(1, 401)]
    assert np.median(seconds) == pytest.approx(transit.true_median_s, rel=0.05)
    assert np.std(np.log(seconds)) == pytest.approx(0.25, rel=0.15)


def test_clock_offsets_move_only_what_the_camera_says() -> None:
    network = grid_network(4)
    moved = Network(
        tuple(replace(node, clock_offset_s=7.5) for node in network.nodes), network.links
    )
    plain = simulate_network(network, Crowd(people=20), seed=5)
    wrong = simulate_network(moved, Crowd(people=20), seed=5)
    assert [visit.true_enter_s for visit in plain] == [visit.true_enter_s for visit in wrong]
    assert all(visit.enter_s - visit.true_enter_s == pytest.approx(7.5) for visit in wrong)


@pytest.mark.parametrize(
    ("crowd", "low", "high"),
    [
        (Crowd(people=300), 300, 300),
        (Crowd(people=300, look_alike_share=0.33), 180, 230),
        (Crowd(people=300, uniform_share=0.5), 120, 180),
    ],
    ids=["all-different", "look-alikes", "uniforms"],
)
def test_how_many_appearances(crowd: Crowd, low: int, high: int) -> None:
    visits = simulate_network(grid_network(4), crowd, seed=2)
    assert low <= len({visit.appearance for visit in visits}) <= high


def test_groups_take_the_same_way() -> None:
    crowd = Crowd(people=60, group_share=1.0, group_size=3)
    visits = simulate_network(grid_network(4), crowd, seed=2)
    for group in {visit.group for visit in visits}:
        ways = {
            person: tuple(v.camera_id for v in visits if v.person == person)
            for person in {v.person for v in visits if v.group == group}
        }
        assert len(ways) == 3
        assert len(set(ways.values())) == 1


def test_mistakes_are_refused() -> None:
    with pytest.raises(ConfigError, match="no camera 'b'"):
        Network((Node(A),), (Link(A, B, Duration(5.0)),))
    with pytest.raises(ConfigError, match="different names"):
        Network((Node(A), Node(A)), ())
    with pytest.raises(ConfigError, match="at least 2 cameras"):
        grid_network(1)
    with pytest.raises(ConfigError, match="people >= 1"):
        Crowd(people=0)
