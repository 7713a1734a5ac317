"""Two places at once: what the topology allows and forbids, told or learned."""

from dataclasses import replace

import pytest

from streamreid.engine.engine import Engine
from streamreid.engine.events import (
    CropAdded,
    Decision,
    OperatorCommand,
    RestoredState,
    TransitionUpdate,
)
from streamreid.engine.inbox import event_time_s
from streamreid.engine.settings import TimeSettings
from streamreid.tlift.transition import TransitionModel
from streamreid.types import CameraId, IdentityId
from tests.engine.planted import PlantedScorer, Scene, Walk
from tests.engine.test_engine import SETTINGS, people, run

DOOR, HALL = CameraId("door"), CameraId("hall")
AT_ONCE = [Walk(1, 0, "door", 0.0, 8.0), Walk(2, 0, "hall", 4.0, 12.0)]


def learned(delta_s: float, count: int = 200) -> RestoredState:
    """A store in which people took this long between the two cameras."""
    model = TransitionModel()
    for number in range(count):
        model.learn(DOOR, HALL, delta_s, at_s=-100.0 - number)
    row = TransitionUpdate(DOOR, HALL, model.dump(DOOR, HALL, at_s=-100.0), float(count), -100.0)
    return RestoredState((), (), (), (row,), 1)


def drive(scene: Scene, scorer: PlantedScorer, engine: Engine) -> list[Decision]:
    """Everything that a scene reports, to its end."""
    rows: list[Decision] = []
    events = (event for walk in scene.walks for event in scene.events(walk))
    for event in sorted(events, key=event_time_s):
        if isinstance(event, CropAdded):
            scorer.insert([scene.entries(event)])
        rows.extend(engine.observe(event, event_time_s(event)).decisions)
    return [*rows, *engine.close(1000.0).decisions]


@pytest.mark.parametrize(
    ("wishes", "together"),
    [
        pytest.param({}, True, id="nothing known"),
        pytest.param({"overlaps": frozenset({(DOOR, HALL)})}, True, id="overlapping"),
        pytest.param({"disjoint": frozenset({(HALL, DOOR)})}, False, id="disjoint"),
    ],
)
def test_one_person_at_once_in_two_cameras_as_configured(
    wishes: dict[str, frozenset[tuple[CameraId, CameraId]]], together: bool
) -> None:
    engine, rows = run(Scene(AT_ONCE), replace(SETTINGS, **wishes))  # type: ignore[arg-type]
    found = people(rows)
    assert (found[1] == found[2]) == together
    assert engine.violations == 0


@pytest.mark.parametrize(
    ("overlaps", "delta_s", "count", "together"),
    [
        pytest.param((), 30.0, 200, False, id="never seen at once"),
        pytest.param((), 30.0, 40, True, id="too little support"),
        pytest.param((), -3.0, 200, True, id="seen at once"),
        pytest.param(((HALL, DOOR),), 30.0, 200, True, id="told to overlap, whatever was learned"),
    ],
)
def test_one_person_at_once_in_two_cameras_as_learned(
    overlaps: tuple[tuple[CameraId, CameraId], ...], delta_s: float, count: int, together: bool
) -> None:
    settings = replace(SETTINGS, overlaps=frozenset(overlaps), time=TimeSettings(transitions=True))
    scene = Scene(AT_ONCE)
    scorer = scene.scorer()
    engine = Engine(scorer, settings=settings)
    engine.restore(learned(delta_s, count))
    rows = drive(scene, scorer, engine)
    found = people(rows)
    assert (found[1] == found[2]) == together


def test_an_operator_may_join_what_was_only_learned_to_be_apart() -> None:
    settings = replace(SETTINGS, time=TimeSettings(transitions=True))
    scene = Scene(AT_ONCE)
    scorer = scene.scorer()
    engine = Engine(scorer, settings=settings)
    engine.restore(learned(30.0, 200))
    first, second = people(drive(scene, scorer, engine)).values()
    merge = OperatorCommand("merge", IdentityId(first), IdentityId(second))
    assert {row.identity_id for row in engine.correct(merge, 100.0).decisions} == {first}
