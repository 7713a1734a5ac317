"""Steps from one sighting of a person to the next: learned by looks, also from who comes often."""

from dataclasses import replace

import numpy as np
import pytest

from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded, TransitionUpdate
from streamreid.engine.inbox import event_time_s
from streamreid.engine.passages import Passages
from streamreid.engine.settings import TimeSettings
from streamreid.engine.tracks import Track
from streamreid.tlift.transition import TransitionModel
from streamreid.types import CameraId, TrackKey
from tests.engine.planted import Scene
from tests.engine.test_order import CAMERAS, NEIGHBOURS
from tests.engine.test_regulars import regulars

A, B = CameraId("a"), CameraId("b")
STEP_S = 30.0


def track(number: int, camera: CameraId, start_s: float) -> Track:
    return Track(TrackKey(number), camera, start_s, start_s + 2.0, ended=True)


def taught(steps: int = 60, *, steady: bool = True) -> Passages:
    """People who take about half a minute from A to B, or any time at all; others pass, too."""
    rng, found = np.random.default_rng(1), Passages()
    for number in range(steps):
        at_s = 100.0 * number
        step_s = STEP_S * float(np.exp(0.2 * rng.standard_normal()))
        if not steady:
            step_s = float(rng.uniform(0, 600))
        entered = track(100 * number, B, at_s + 2.0 + step_s)
        others = [
            track(100 * number + k, A, entered.started_at_s - 2.0 - float(rng.uniform(0, 600)))
            for k in range(1, 6)
        ]
        found.learn(entered, track(100 * number + 9, A, at_s), others, belief=1.0, at_s=at_s)
    return found


def turns(step_s: float, visits: int = 6) -> tuple[list[Track], list[Track]]:
    """One identity in A, and another in B that always comes after this time."""
    return (
        [track(10**6 + n, A, 1e4 + 500.0 * n) for n in range(visits)],
        [track(2 * 10**6 + n, B, 1e4 + 500.0 * n + 2.0 + step_s) for n in range(visits)],
    )


def test_two_that_take_turns_as_one_person_would() -> None:
    found = taught()
    one = found.taking_turns(*turns(STEP_S), frozenset(), at_s=1e4)
    two = found.taking_turns(*turns(200.0), frozenset(), at_s=1e4)
    assert one > 2.0
    assert two < -2.0
    assert found.taking_turns(*turns(STEP_S)[::-1], frozenset(), at_s=1e4) == one


def test_more_turns_are_surer_up_to_a_limit() -> None:
    found = taught()
    values = [
        found.taking_turns(*turns(STEP_S, visits), frozenset(), at_s=1e4) for visits in (1, 2, 20)
    ]
    assert values == sorted(values)
    assert values[2] <= 8 * 3.0


@pytest.mark.parametrize("camera", [A, B])
def test_a_clock_that_moved_says_nothing(camera: CameraId) -> None:
    assert taught().taking_turns(*turns(STEP_S), frozenset({camera}), at_s=1e4) == 0.0


@pytest.mark.parametrize("found", [Passages(), taught(3), taught(steady=False)])
def test_nothing_is_said_before_it_has_proved_itself(found: Passages) -> None:
    assert found.taking_turns(*turns(STEP_S), frozenset(), at_s=1e4) == 0.0


def test_what_is_frozen_learns_nothing() -> None:
    found = taught()
    found.model.frozen = True
    before = found.model.dump(A, B, at_s=1e4)
    entered = track(5, B, 1e5)
    assert not found.learn(entered, track(6, A, 1e5 - 300.0), [], belief=1.0, at_s=1e5)
    assert found.model.dump(A, B, at_s=1e4) == before


def learned_from(scene: Scene) -> dict[tuple[CameraId, CameraId], TransitionUpdate]:
    scorer = scene.scorer()
    engine = Engine(scorer, settings=replace(NEIGHBOURS, time=TimeSettings(transitions=True)))
    events = [event for walk in scene.walks for event in scene.events(walk)]
    found: dict[tuple[CameraId, CameraId], TransitionUpdate] = {}
    for event in sorted(events, key=lambda event: (event_time_s(event), event.track)):
        if isinstance(event, CropAdded):
            scorer.insert([scene.entries(event)])
        for row in engine.observe(event, event_time_s(event)).transitions:
            found[row.from_camera_id, row.to_camera_id] = row
    return found


def test_people_who_come_often_teach_the_way_they_go_and_not_how_often_they_come() -> None:
    """They look most like themselves on some other day: the step before is what counts."""
    rows, model = learned_from(regulars()), TransitionModel()
    for way, row in rows.items():
        if row.passages:
            model.load(*way, row.passages, updated_at_s=row.updated_at_s)
    at_s = max(row.updated_at_s for row in rows.values())
    for source, target in zip(CAMERAS, (*CAMERAS[1:], CAMERAS[0]), strict=True):
        way = (CameraId(source), CameraId(target))
        assert model.support(*way, at_s=at_s) > 20.0
        assert model.typical_s(*way, at_s=at_s) == pytest.approx(15.0, rel=0.1)
        assert model.support(*way[::-1], at_s=at_s) < 2.0
