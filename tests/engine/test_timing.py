"""Time terms: on probation until they help, off when they do not, never fed by their own output."""

import numpy as np
import pytest

from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded
from streamreid.engine.inbox import event_time_s
from streamreid.engine.passages import passage
from streamreid.engine.probation import Probation
from streamreid.engine.settings import EngineSettings, TimeSettings
from streamreid.engine.timing import NO_TERMS, TimeEvidence, TimeTerms
from streamreid.engine.tracks import Track
from streamreid.types import CameraId, TrackKey
from tests.engine.planted import Scene, Walk
from tests.engine.test_order import Store, keep

A, B, C = CameraId("a"), CameraId("b"), CameraId("c")
SETTINGS = TimeSettings(cooccurrence=True, transitions=True)


def track(number: int, camera: CameraId, start: float, length: float = 2.0) -> Track:
    return Track(TrackKey(number), camera, start, start + length, ended=True)


def teach(evidence: TimeEvidence, delays: list[float], seed: int = 0) -> None:
    """Believed matches from A to B after these delays, among strangers at any time."""
    rng = np.random.default_rng(seed)
    for number, delay in enumerate(delays):
        at_s = 100.0 * number
        left, entered = track(10 * number, A, at_s), track(10 * number + 1, B, at_s + 2 + delay)
        others = [
            track(10 * number + 2 + k, A, entered.started_at_s - 2 - float(rng.uniform(0, 600)))
            for k in range(5)
        ]
        evidence.learn(entered, left, others, belief=1.0, at_s=at_s)


def test_probation_needs_evidence_and_notices_when_it_is_gone() -> None:
    probation = Probation()
    assert not probation.passed
    assert not probation.failed
    for _ in range(12):
        probation.observe(1.0)
    assert probation.passed
    for _ in range(300):
        probation.observe(-0.5)
    assert probation.failed
    assert not probation.passed


@pytest.mark.parametrize("seed", range(5))
def test_noise_seldom_passes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probation = Probation()
    passed = 0
    for _ in range(400):
        probation.observe(float(rng.normal(0, 1)))
        passed += probation.passed
    assert passed < 0.2 * 400


def test_a_usual_delay_becomes_evidence() -> None:
    evidence = TimeEvidence(SETTINGS)
    rng = np.random.default_rng(1)
    teach(evidence, [30 * float(np.exp(0.2 * x)) for x in rng.standard_normal(40)])
    now = track(9000, B, 10_000.0)
    usual, unusual = track(9001, A, 9968.0), track(9002, A, 9500.0)
    terms = [
        evidence.trusted(term, B, A) for term in evidence.terms(now, [usual, unusual], at_s=1e4)
    ]
    assert terms[0].transition is not None
    assert terms[1].transition is not None
    assert terms[0].transition > 1.0 > terms[1].transition
    assert evidence.warnings() == []


def test_delays_that_mean_nothing_stay_untrusted() -> None:
    evidence = TimeEvidence(SETTINGS)
    rng = np.random.default_rng(2)
    teach(evidence, rng.uniform(0, 600, 40).tolist())
    term = evidence.terms(track(9000, B, 1e4), [track(9001, A, 9968.0)], at_s=1e4)[0]
    assert evidence.trusted(term, B, A) == NO_TERMS or abs(term.transition or 0.0) < 1.0


def test_a_clock_that_moved_is_named_and_ignored() -> None:
    """After a jump the learned times predict worse than chance."""
    evidence = TimeEvidence(SETTINGS)
    teach(evidence, [30.0] * 40)
    probation = evidence.clock_helps[A]
    assert probation.passed
    for _ in range(200):
        probation.observe(-1.0)
    assert "camera 'a'" in evidence.warnings()[0]
    term = TimeTerms(transition=2.0)
    assert evidence.trusted(term, A, B).transition is None


def test_a_moved_clock_is_neutral_for_its_camera_only() -> None:
    """Sixteen people who take another time than the two hundred before them."""
    evidence = TimeEvidence(SETTINGS)
    for camera in (A, B, C):
        evidence.clock_helps[camera] = Probation(count=200.0, total=300.0, squares=600.0)
    rng = np.random.default_rng(0)
    ways = [(A, B), (B, C), (C, A)]
    for number in range(400):
        one, other = ways[number % 3]
        broken = number >= 250 and A in (one, other)
        evidence.clocks.observe(one, other, float(rng.normal(-1.5 if broken else 1.5, 0.7)))
    assert [camera for camera in (A, B, C) if camera in evidence.clocks.moved()] == [A]
    term = TimeTerms(transition=2.0)
    assert evidence.trusted(term, A, B).transition is None
    assert evidence.trusted(term, C, A).transition is None
    assert evidence.trusted(term, B, C).transition == 2.0
    assert evidence.trusted(term, A, A).transition == 2.0
    (warning,) = evidence.warnings()
    assert "camera 'a'" in warning
    assert "clock" in warning


@pytest.mark.parametrize("restarted", [False, True])
def test_a_pair_teaches_once(restarted: bool) -> None:
    """When the second of its tracks is final, whatever happened between the two."""
    scene = Scene([Walk(1, 0, "a", 0.0, 8.0), Walk(2, 0, "b", 10.0, 18.0)])
    settings = EngineSettings(lag_s=20.0, time=TimeSettings(transitions=True))
    store, scorer = Store(), scene.scorer()
    engine = Engine(scorer, settings=settings)
    for event in sorted((e for walk in scene.walks for e in scene.events(walk)), key=event_time_s):
        if isinstance(event, CropAdded):
            scorer.insert([scene.entries(event)])
        store.events.setdefault(event, event)
        keep(store, engine.observe(event, event_time_s(event)))
    keep(store, engine.tick(32.0))
    assert [row.track for row in store.rows if row.final] == [1]
    if restarted:
        engine = Engine(scorer, settings=settings)
        engine.restore(store.restored())
    keep(store, engine.tick(60.0))
    assert [row.track for row in store.rows if row.final] == [1, 2]
    assert 0.9 < store.transitions[A, B].support < 1.001


def test_learned_ways_are_handed_out_once_and_come_back() -> None:
    evidence = TimeEvidence(SETTINGS)
    teach(evidence, [30.0] * 10)
    updates = evidence.drain()
    assert [(one.from_camera_id, one.to_camera_id) for one in updates] == [(A, B)]
    assert evidence.drain() == ()
    other = TimeEvidence(SETTINGS)
    other.restore(updates)
    assert other.transitions.support(A, B, at_s=1000.0) == pytest.approx(10.0, rel=1e-3)


def test_a_trial_goes_on_after_a_restart() -> None:
    """What had earned trust, and what had lost it, comes back with the learned times."""
    evidence = TimeEvidence(SETTINGS)
    rng = np.random.default_rng(1)
    teach(evidence, [30 * float(np.exp(0.2 * x)) for x in rng.standard_normal(60)])
    evidence.companions_help.observe(1.0)
    evidence.freeze(True, at_s=6000.0)
    updates, records = evidence.drain(), evidence.drain_records()
    assert {record.name for record in records} == {
        *("background:transitions", "clock:a", "clock:b", "watch:a", "watch:b", "frozen")
    }
    assert evidence.drain_records() == ()
    again = TimeEvidence(SETTINGS)
    again.restore(updates)
    again.restore_records(records)
    assert again.transitions.frozen
    assert again.clock_helps == evidence.clock_helps
    assert again.clocks.cameras == evidence.clocks.cameras
    now, usual = track(9000, B, 1e4), track(9001, A, 9968.0)
    term, same = (
        one.trusted(one.terms(now, [usual], at_s=1e4)[0], B, A).transition
        for one in (evidence, again)
    )
    assert term is not None
    assert same == pytest.approx(term, rel=1e-9)


def test_what_is_frozen_is_used_and_does_not_change() -> None:
    evidence = TimeEvidence(SETTINGS)
    teach(evidence, [30.0] * 40)
    before = evidence.transitions.dump(A, B, at_s=8000.0)
    evidence.freeze(True, at_s=4000.0)
    teach(evidence, [300.0] * 40, seed=1)
    assert evidence.transitions.dump(A, B, at_s=8000.0) == before
    evidence.freeze(False, at_s=8000.0)
    teach(evidence, [300.0] * 5, seed=2)
    assert evidence.transitions.dump(A, B, at_s=8000.0) != before


def test_companions_lift_whoever_came_when_they_came() -> None:
    """Two of a group were matched at about 100 s in B; a third candidate at 100 s is lifted."""
    evidence = TimeEvidence(TimeSettings(cooccurrence=True, sigma_s=20.0, pivots=2))
    gallery = [track(n, B, at_s) for n, at_s in ((1, 100.0), (2, 102.0), (3, 101.0), (4, 900.0))]
    tracks = {item.key: item for item in gallery}
    for item in gallery:
        evidence.listen(item, {}, tracks)
    for number, match in ((11, 1), (12, 2)):
        walker = track(number, A, 500.0 + number)
        tracks[walker.key] = walker
        evidence.listen(walker, {TrackKey(match): 0.9, TrackKey(4): 0.01}, tracks)
    asked = track(13, A, 510.0)
    tracks[asked.key] = asked
    evidence.listen(asked, {TrackKey(3): 0.3, TrackKey(4): 0.3}, tracks)
    near, far = evidence.terms(asked, [tracks[TrackKey(3)], tracks[TrackKey(4)]], at_s=520.0)
    assert near.weight is not None
    assert far.weight is not None
    assert near.weight > 0.9
    assert far.weight < 0.1
    assert (near.cooccurrence or 0) > 0 > (far.cooccurrence or 0)


def test_whoever_started_earlier_is_where_the_person_came_from() -> None:
    early, late = track(1, A, 0.0, 5.0), track(2, B, 3.0, 1.0)
    assert passage(early, late) == passage(late, early) == (A, B, -2.0)
