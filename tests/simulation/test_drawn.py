"""Drawn people: the scorer's contract, and a network whose ways the engine learns."""

from dataclasses import replace

import numpy as np
import pytest

from streamreid.association.constraints import CameraPair, pair_of
from streamreid.engine.coefficients import Coefficients
from streamreid.engine.settings import TimeSettings
from streamreid.evaluation.replay import entry_keys, run_stream
from streamreid.gallery.scorer import GalleryEntry
from streamreid.simulation.drawn import DrawnScorer, Looks, tracklets_of_visits
from streamreid.simulation.network import Crowd, Network, Visit, simulate_network
from streamreid.simulation.scenarios import grid_network, scenario
from streamreid.tlift.transition import TransitionModel
from streamreid.types import CropKey

CLEAR = Looks(visit_noise=0.6, camera_noise=0.3)


def filled(
    visits: tuple[Visit, ...], looks: Looks, *, seed: int = 0
) -> tuple[DrawnScorer, list[list[CropKey]]]:
    """A scorer that holds every visit, and the crops of each."""
    tracklets = tracklets_of_visits(visits)
    scorer = DrawnScorer(visits, looks, seed=seed)
    keys = entry_keys(tracklets)
    groups = []
    for item in tracklets:
        own = [keys[image] for image in item.images]
        for number, key in enumerate(own):
            entry = GalleryEntry(key, item.camera_id, item.track, item.times_s[number])
            scorer.insert([entry], scorer.vectors(item, number))
        groups.append(own)
    return scorer, groups


def walk(people: int = 12, **crowd: float) -> tuple[Visit, ...]:
    settings = replace(Crowd(people), **crowd)  # type: ignore[arg-type]
    return simulate_network(grid_network(4), settings, seed=3)


def test_tracklets_are_the_visits_in_order_of_their_start() -> None:
    visits = walk()
    tracklets = tracklets_of_visits(visits, crops_per_visit=3)
    assert [item.track for item in tracklets] == list(range(1, len(visits) + 1))
    assert sorted(
        (item.person, item.started_at_s, item.ended_at_s) for item in tracklets
    ) == sorted((visit.person, visit.enter_s, visit.leave_s) for visit in visits)
    assert {len(item.images) for item in tracklets} == {3}


def test_one_person_scores_higher_than_two_and_look_alikes_in_between() -> None:
    visits = walk(40, look_alike_share=0.5)
    ordered = sorted(visits, key=lambda visit: (visit.enter_s, visit.person))
    scorer, groups = filled(visits, Looks())
    scores: dict[str, list[float]] = {"one": [], "look-alikes": [], "two": []}
    for place, visit in enumerate(ordered[:-1]):
        found = scorer.score(groups[place], groups[place + 1 :]).score.tolist()
        for other, value in zip(ordered[place + 1 :], found, strict=True):
            if other.person == visit.person:
                scores["one"].append(value)
            else:
                same_clothes = other.appearance == visit.appearance
                scores["look-alikes" if same_clothes else "two"].append(value)
    means = {kind: float(np.mean(values)) for kind, values in scores.items()}
    assert means["one"] > means["look-alikes"] > means["two"]
    # The default looks are those of the default weights on Market-1501.
    assert means["two"] == pytest.approx(-7.9, abs=0.6)
    assert np.std(scores["two"]) == pytest.approx(2.4, abs=0.4)


def test_the_scorer_keeps_its_contract() -> None:
    visits = walk()
    scorer, groups = filled(visits, Looks())
    count = len(scorer)
    again, _ = filled(visits, Looks())
    query = groups[0]
    found = scorer.candidates(query, 5, exclude_tracks=(1,))  # type: ignore[arg-type]
    assert len(found.entry_ids) == 5
    assert 1 not in found.tracks.tolist()
    assert (np.diff(found.similarity) <= 0).all()
    np.testing.assert_array_equal(
        again.candidates(query, 5).entry_ids, scorer.candidates(query, 5).entry_ids
    )
    assert scorer.remove(groups[1]) == len(groups[1])
    assert np.isnan(scorer.score(query, [groups[1]]).score).all()
    assert scorer.evict(before_s=np.inf) == count - len(groups[1])
    assert len(scorer) == 0
    assert len(scorer.candidates(query, 5).entry_ids) == 0
    with pytest.raises(NotImplementedError, match="no pixels"):
        scorer.embed([])


def disjoint(network: Network) -> frozenset[CameraPair]:
    return frozenset(pair_of(*sorted(pair)) for pair in network.disjoint_pairs)


def test_the_engine_learns_the_ways_of_a_network_and_nobody_is_in_two_places() -> None:
    chosen = scenario("plain", cameras=2, people=60, seed=1)
    visits = simulate_network(chosen.network, chosen.crowd, seed=1)
    coefficients = Coefficients(time=TimeSettings(pseudo_match=0.5))
    scorer = DrawnScorer(visits, CLEAR, seed=1)
    pairs = disjoint(chosen.network)
    replay = run_stream(
        tracklets_of_visits(visits),
        scorer,
        scorer.vectors,
        coefficients.settings("full", lag_s=30.0, disjoint=pairs, max_age_s=900.0),
        all_camera_pairs=pairs,
    )
    assert replay.figures.clusters.pair_f1 > 0.8
    assert (replay.figures.in_two_places, replay.figures.in_two_cameras) == (0, 0)
    assert replay.violations == 0
    assert replay.warnings == ()
    model = TransitionModel()
    for row in replay.transitions:
        model.load(
            row.from_camera_id, row.to_camera_id, row.histogram, updated_at_s=row.updated_at_s
        )
    for link in chosen.network.links:
        learned_s = model.typical_s(link.source, link.target, at_s=visits[-1].leave_s)
        assert learned_s == pytest.approx(link.transit.true_median_s, rel=0.25)
