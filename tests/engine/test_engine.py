"""The engine on planted scenes: who is who, in whatever order the events arrive."""

import pytest

from streamreid.association.ledger import Decision, replay
from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded, Outcome
from streamreid.engine.inbox import event_time_s
from streamreid.engine.settings import EngineSettings
from tests.engine.planted import Scene, Walk

SETTINGS = EngineSettings(false_merge_rate=0.05, lag_s=20.0, delivery_s=2.0)

TWO_PEOPLE = [
    Walk(1, 0, "door", 0.0, 8.0),
    Walk(2, 1, "door", 4.0, 12.0),
    Walk(3, 0, "hall", 20.0, 30.0),
    Walk(4, 1, "hall", 22.0, 31.0),
    Walk(5, 2, "hall", 50.0, 58.0),
    Walk(6, 0, "door", 70.0, 75.0),
]


def run(scene: Scene, settings: EngineSettings = SETTINGS) -> tuple[Engine, list[Decision]]:
    scorer = scene.scorer()
    engine = Engine(scorer, settings=settings)
    rows: list[Decision] = []
    events = sorted(
        (event for walk in scene.walks for event in scene.events(walk)), key=event_time_s
    )
    for event in events:
        if isinstance(event, CropAdded):
            scorer.insert([scene.entries(event)])
        rows.extend(engine.observe(event, event_time_s(event)).decisions)
    rows.extend(engine.close(1000.0).decisions)
    return engine, rows


def people(rows: list[Decision]) -> dict[int, int]:
    return {int(track): int(held.identity_id) for track, held in replay(rows).items()}


def test_links_people_over_cameras_and_keeps_a_new_person_apart() -> None:
    _, rows = run(Scene(TWO_PEOPLE))
    found = people(rows)
    assert found[1] == found[3] == found[6]
    assert found[2] == found[4]
    assert len({found[1], found[2], found[5]}) == 3


def test_every_track_ends_with_one_final_row() -> None:
    engine, rows = run(Scene(TWO_PEOPLE))
    final = [row.track for row in rows if row.final]
    assert sorted(final) == [1, 2, 3, 4, 5, 6]
    assert engine.pending == 0


def test_decides_soon_after_the_first_crop() -> None:
    scene = Scene(TWO_PEOPLE[:1])
    scorer = scene.scorer()
    engine = Engine(scorer, settings=SETTINGS)
    first = scene.events(scene.walks[0])[0]
    assert isinstance(first, CropAdded)
    scorer.insert([scene.entries(first)])
    assert engine.observe(first, 0.0) == Outcome()
    rows = engine.tick(SETTINGS.delivery_s + SETTINGS.step_s).decisions
    assert [(row.track, row.reason, row.final) for row in rows] == [(1, "new", False)]


def test_look_alikes_side_by_side_are_two_people() -> None:
    walks = [Walk(1, 0, "door", 0.0, 8.0), Walk(2, 0, "door", 4.0, 12.0)]
    found = people(run(Scene(walks))[1])
    assert found[1] != found[2]


def test_a_track_cannot_join_an_identity_that_was_seen_beside_it() -> None:
    """Track 3 looks like identity {1, 2}, but track 2 overlaps it in its camera."""
    walks = [
        Walk(1, 0, "hall", 0.0, 5.0),
        Walk(2, 0, "door", 10.0, 20.0),
        Walk(3, 0, "door", 15.0, 60.0),
    ]
    found = people(run(Scene(walks))[1])
    assert found[1] == found[2] != found[3]


def test_disjoint_cameras_forbid_one_person_at_once() -> None:
    walks = [Walk(1, 0, "door", 0.0, 8.0), Walk(2, 0, "hall", 4.0, 12.0)]
    apart = EngineSettings(lag_s=20.0, disjoint=frozenset({("door", "hall")}))  # type: ignore[arg-type]
    assert people(run(Scene(walks))[1])[1] == people(run(Scene(walks))[1])[2]
    found = people(run(Scene(walks), apart)[1])
    assert found[1] != found[2]


def test_a_stranger_at_an_empty_site_is_new_for_sure() -> None:
    _, rows = run(Scene(TWO_PEOPLE[:1]))
    assert rows[0].reason == "new"
    assert rows[0].probability == 1.0
    assert rows[0].appearance is None


def test_memory_is_bounded_by_age() -> None:
    walks = [Walk(n, n % 60, "door", 30.0 * n, 30.0 * n + 5, crops=1) for n in range(1, 200)]
    settings = EngineSettings(lag_s=20.0, max_age_s=300.0)
    scene = Scene(walks)
    engine, _ = run(scene, settings)
    assert len(engine._tracks) < 30
    assert len(engine._ledger) < 30


@pytest.mark.parametrize("lag_s", [2.0, 10.0])
def test_a_final_row_comes_at_the_end_plus_lag(lag_s: float) -> None:
    scene = Scene(TWO_PEOPLE)
    _, rows = run(scene, EngineSettings(lag_s=lag_s, delivery_s=2.0))
    ends = {walk.track: walk.ended_at_s for walk in scene.walks}
    for row in rows:
        if row.final:
            wait_s = row.decided_at_s - ends[int(row.track)]
            assert lag_s - 2.0 < wait_s <= lag_s - 2.0 + 1.0
