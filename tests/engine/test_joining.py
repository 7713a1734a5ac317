"""Identities that turn out to be one person become one, unless anything speaks against it."""

from dataclasses import replace
from typing import Any

import pytest

from streamreid.association.joining import JoinSettings
from streamreid.association.ledger import replay
from streamreid.engine.engine import Engine
from streamreid.engine.events import (
    CropAdded,
    Decision,
    IdentityUpdate,
    OperatorCommand,
    RestoredState,
    RestoredTrack,
)
from streamreid.engine.inbox import event_time_s
from streamreid.engine.joining import JoinEvidence
from streamreid.engine.settings import EngineSettings
from streamreid.types import CameraId, IdentityId, TrackKey
from tests.engine.planted import PlantedScorer, Scene, Walk

JOIN = JoinSettings(least_probability=0.6)
SETTINGS = EngineSettings(false_merge_rate=0.05, lag_s=20.0, delivery_s=2.0, join=JOIN)
APART = frozenset({(CameraId("hall"), CameraId("yard"))})

FRONT = Walk(1, 0, "door", 0.0, 8.0, look=0)
BACK = Walk(2, 0, "hall", 30.0, 38.0, look=60)
SIDE = Walk(3, 0, "yard", 80.0, 88.0, look=30)
"""Front and back look too different to be linked; the side looks like both."""


class Run:
    """A running engine, what it wrote, and a way to speak to it as an operator."""

    def __init__(
        self,
        walks: list[Walk],
        settings: EngineSettings = SETTINGS,
        scorer: PlantedScorer | None = None,
    ) -> None:
        self.scene = Scene(walks, noise=0.01)
        self.scorer = self.scene.scorer() if scorer is None else scorer
        self.scorer.vectors = self.scene.vectors
        self._settings = settings
        self.engine = Engine(self.scorer, settings=settings)
        self.rows: list[Decision] = []
        self.identities: dict[int, IdentityUpdate] = {}
        self.now_s = 0.0

    def send(self, *walks: Walk) -> None:
        """Let these people walk by, and wait until what was seen of them is decided."""
        events = sorted(
            (event for walk in walks for event in self.scene.events(walk)), key=event_time_s
        )
        for event in events:
            self.now_s = max(self.now_s, event_time_s(event))
            if isinstance(event, CropAdded):
                self.scorer.insert([self.scene.entries(event)])
            self._keep(self.engine.observe(event, self.now_s))
        self.now_s += SETTINGS.lag_s + 2.0
        self._keep(self.engine.tick(self.now_s))

    def order(self, verb: str, first: int, second: int | None = None, *tracks: int) -> None:
        """Correct something."""
        other = None if second is None else IdentityId(second)
        keys = tuple(TrackKey(track) for track in tracks)
        command = OperatorCommand(verb, IdentityId(first), other, keys, actor="ana")  # type: ignore[arg-type]
        self._keep(self.engine.observe(command, self.now_s))

    def restart(
        self, *, decisions: tuple[Decision, ...], corrected: tuple[IdentityId, ...]
    ) -> None:
        """Go on in a new engine that knows the tracks, and the operators from these only."""
        held = replay(self.rows)
        tracks = tuple(
            RestoredTrack(
                TrackKey(walk.track),
                CameraId(walk.camera),
                walk.started_at_s,
                walk.ended_at_s,
                ended=True,
                entry_ids=tuple(crop.entry_id for crop in crops),
                entry_times_s=tuple(crop.captured_at_s for crop in crops),
                entry_qualities=tuple(crop.quality for crop in crops),
                identity_id=held[TrackKey(walk.track)].identity_id,
                revision=held[TrackKey(walk.track)].revision,
                final=True,
            )
            for walk in self.scene.walks
            if TrackKey(walk.track) in held
            and (crops := [e for e in self.scene.events(walk) if isinstance(e, CropAdded)])
        )
        self.engine = Engine(self.scorer, settings=self._settings)
        state = RestoredState(
            tracks, tuple(self.identities.values()), decisions, (), max(self.identities) + 1
        )
        self.engine.restore(replace(state, corrected=corrected))

    def of(self, track: int) -> int:
        """Identity of a track."""
        return int(replay(self.rows)[TrackKey(track)].identity_id)

    def joins(self) -> list[Decision]:
        """Rows of joins made by the engine."""
        return [row for row in self.rows if (row.reason, row.actor) == ("merged", "engine")]

    def _keep(self, outcome: object) -> None:
        self.rows.extend(outcome.decisions)  # type: ignore[attr-defined]
        for update in outcome.identities:  # type: ignore[attr-defined]
            self.identities[int(update.identity_id)] = update


def test_later_evidence_joins_somebody_who_was_split() -> None:
    run = Run([FRONT, BACK, SIDE])
    run.send(FRONT)
    run.send(BACK)
    older, younger = run.of(1), run.of(2)
    assert older < younger
    run.send(SIDE)
    assert run.of(1) == run.of(2) == run.of(3) == older
    moved = run.joins()
    assert 2 in {row.track for row in moved} <= {2, 3}
    for row in moved:
        assert (row.identity_id, row.final) == (older, True)
        assert 0.75 < row.probability <= 1.0
        assert row.appearance is not None
    update = run.identities[younger]
    assert (update.status, update.merged_into) == ("merged", older)
    assert run.identities[older].status == "confirmed"
    assert run.engine.violations == 0


def test_a_track_that_is_still_undecided_moves_along() -> None:
    """The back is seen once more before the side brings both together."""
    late = replace(BACK, track=4, started_at_s=95.0, ended_at_s=103.0)
    run = Run([FRONT, BACK, SIDE, late])
    run.send(FRONT)
    run.send(BACK)
    older, younger = run.of(1), run.of(2)
    run.send(SIDE, late)
    rows = [row for row in run.rows if row.track == 4]
    assert [(row.identity_id, row.reason, row.final) for row in rows][:2] == [
        (younger, rows[0].reason, False),
        (older, "merged", False),
    ]
    assert rows[-1].final
    assert run.of(4) == older


def test_nothing_is_joined_without_a_bridge() -> None:
    run = Run([FRONT, BACK, replace(FRONT, track=3, started_at_s=80.0, ended_at_s=88.0)])
    run.send(*run.scene.walks)
    assert run.of(1) == run.of(3) != run.of(2)
    assert run.joins() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"tries": 0}, False),
        ({"least_pairs": 3}, False),
        ({"least_probability": 0.999}, False),
    ],
    ids=str,
)
def test_settings_say_how_much_a_join_needs(change: dict[str, Any], expected: bool) -> None:
    run = Run([FRONT, BACK, SIDE], replace(SETTINGS, join=replace(JOIN, **change)))
    for walk in run.scene.walks:
        run.send(walk)
    assert (run.of(1) == run.of(2)) is expected


@pytest.mark.parametrize(
    ("back", "disjoint"),
    [
        (replace(BACK, camera="door", started_at_s=5.0, ended_at_s=12.0), frozenset()),
        (replace(BACK, camera="hall", started_at_s=84.0, ended_at_s=99.0), APART),
    ],
    ids=["one camera", "disjoint cameras"],
)
def test_two_places_at_once_are_never_one_person(
    back: Walk, disjoint: frozenset[tuple[CameraId, CameraId]]
) -> None:
    """The back was seen while the front or the side was, where one person cannot have been."""
    settings = replace(SETTINGS, disjoint=disjoint)
    last = replace(SIDE, track=4, camera="door", started_at_s=160.0, ended_at_s=168.0)
    apart = Run([FRONT, back, SIDE, last], settings)
    apart.send(*[walk for walk in apart.scene.walks if walk is not last])
    apart.send(last)
    assert len({apart.of(track) for track in (1, 2, 3)}) >= 2
    assert apart.joins() == []
    assert apart.engine.violations == 0
    free = Run([FRONT, back, SIDE, last], replace(settings, places=False))
    free.send(*[walk for walk in free.scene.walks if walk is not last])
    free.send(last)
    assert free.of(1) == free.of(2) == free.of(3)


def test_every_remembered_track_counts_against_a_join() -> None:
    """Only the very first tracks of both were side by side; later ones alone look like one person.

    More tracks than are compared lie between, so that the conflict is among those not compared.
    """
    walks = [FRONT, replace(BACK, camera="door", started_at_s=4.0, ended_at_s=12.0)]
    for number in range(6):
        for look in (0, 60):
            start_s = 80.0 * (number + 1) + look * 2 / 3
            walks.append(Walk(len(walks) + 1, 0, "hall", start_s, start_s + 8.0, look=look))
    side = Walk(len(walks) + 1, 0, "yard", 600.0, 608.0, look=30)
    latest = replace(SETTINGS, join=replace(JOIN, tracks=2))
    run = Run([*walks, side], latest)
    for walk in run.scene.walks:
        run.send(walk)
    assert run.of(1) != run.of(2)
    assert run.joins() == []
    elsewhere = [FRONT, replace(walks[1], camera="hall"), *walks[2:], side]
    free = Run(elsewhere, latest)
    for walk in elsewhere:
        free.send(walk)
    assert free.of(1) == free.of(2)
    assert free.joins()


@pytest.mark.parametrize("verb", ["split", "reject", "confirm both", "undo a merge"])
def test_what_an_operator_set_apart_stays_apart(verb: str) -> None:
    run = Run([FRONT, BACK, SIDE, replace(SIDE, track=4, started_at_s=150.0, ended_at_s=158.0)])
    run.send(FRONT)
    if verb == "split":
        run.scene.walks[1] = BACK
        run.send(BACK)
        run.order("merge", run.of(1), run.of(2))
        run.order("split", run.of(1), None, 2)
    else:
        run.send(BACK)
    if verb == "reject":
        run.order("reject", run.of(1), run.of(2))
    if verb == "confirm both":
        run.order("confirm", run.of(1))
        run.order("confirm", run.of(2))
    if verb == "undo a merge":
        run.order("merge", run.of(1), run.of(2))
        run.order("undo", run.of(1))
    first, second = run.of(1), run.of(2)
    assert first != second
    run.send(SIDE)
    run.send(run.scene.walks[3])
    assert (run.of(1), run.of(2)) == (first, second)
    assert run.joins() == []


def test_what_an_operator_set_apart_stays_apart_after_a_restart() -> None:
    """The new process knows of the operator from rows, or, where these are too old, by name."""
    for told_by in ("rows", "names", "nobody"):
        run = Run([FRONT, BACK, SIDE])
        run.send(FRONT)
        run.send(BACK)
        run.order("reject", run.of(1), run.of(2))
        first, second = run.of(1), run.of(2)
        run.restart(
            decisions=tuple(run.rows) if told_by == "rows" else (),
            corrected=(IdentityId(first), IdentityId(second)) if told_by == "names" else (),
        )
        run.send(SIDE)
        assert (run.of(1) != run.of(2)) is (told_by != "nobody")


def test_tracks_that_an_operator_confirmed_are_not_moved_but_others_join_them() -> None:
    """The younger identity is the operator's: it stays. If the older one is, the younger joins."""
    for confirmed, expected in ((2, False), (1, True)):
        run = Run([FRONT, BACK, SIDE])
        run.send(FRONT)
        run.send(BACK)
        run.order("confirm", run.of(confirmed))
        run.send(SIDE)
        assert (run.of(1) == run.of(2)) is expected


def test_operators_can_split_and_undo_after_a_join() -> None:
    run = Run([FRONT, BACK, SIDE, replace(SIDE, track=4, started_at_s=200.0, ended_at_s=208.0)])
    for walk in (FRONT, BACK, SIDE):
        run.send(walk)
    assert run.joins()
    older = run.of(1)
    run.order("split", older, None, 2)
    fresh = run.of(2)
    assert fresh == max(run.identities)
    run.order("undo", older)
    assert run.of(2) == older
    run.order("split", older, None, 2)
    run.send(run.scene.walks[3])
    assert run.of(2) > fresh
    assert run.of(2) != run.of(1) == older
    rows = [row for row in run.rows if row.track == 2]
    assert [row.revision for row in rows] == list(range(len(rows)))


def test_an_operator_can_undo_a_merge_into_which_the_engine_joined_more() -> None:
    """Track 1 and 4 were merged by ana; then the engine joined track 2; undo takes only 4 away."""
    walks = [FRONT, Walk(4, 5, "door", 20.0, 24.0), BACK, SIDE]
    run = Run(walks, replace(SETTINGS, false_merge_rate=0.1))
    for walk in walks[:2]:
        run.send(walk)
    kept, gone = run.of(1), run.of(4)
    run.order("merge", kept, gone)
    for walk in walks[2:]:
        run.send(walk)
    assert run.joins()
    assert run.of(2) == kept
    run.order("undo", kept)
    assert (run.of(1), run.of(2), run.of(4)) == (kept, kept, gone)
    assert run.identities[gone].status == "confirmed"


def test_an_identity_older_than_memory_is_not_taken_apart() -> None:
    """Its first tracks are forgotten: neither their rows nor their places could be looked at."""
    latest = replace(SETTINGS, join=replace(JOIN, tracks=2))
    back = [
        replace(BACK, track=10 + n, started_at_s=30.0 + 60 * n, ended_at_s=38.0 + 60 * n)
        for n in range(6)
    ]
    front = [
        replace(FRONT, track=20 + n, started_at_s=60.0 * n, ended_at_s=8.0 + 60 * n)
        for n in range(7)
    ]
    side = replace(SIDE, track=99, started_at_s=400.0, ended_at_s=408.0)
    walks = sorted([*front, *back, side], key=lambda walk: walk.started_at_s)
    for chosen, expected in ((replace(latest, max_age_s=200.0), False), (latest, True)):
        run = Run(walks, chosen)
        for walk in walks:
            run.send(walk)
        assert (run.of(15) == run.of(26)) is expected


class CountingScorer(PlantedScorer):
    """Counts how many pairs of tracks it was asked for."""

    asked = 0

    def score(self, query, groups):  # type: ignore[no-untyped-def]
        self.asked += len(groups)
        return super().score(query, groups)


def test_the_cost_of_joining_does_not_grow_with_age() -> None:
    """People who keep coming, back and front in turn and never sure enough, cost the same."""
    walks = [FRONT, BACK]
    for number in range(60):
        at_s = 60.0 * (number + 2)
        look = (0, 60, 30)[number % 3]
        walks.append(Walk(number + 3, 0, "hall", at_s, at_s + 8.0, look=look))
    scorer = CountingScorer({})
    settings = replace(SETTINGS, max_age_s=1e6, join=replace(JOIN, least_probability=0.999))
    run = Run(walks, settings, scorer)
    tried: list[JoinEvidence] = []
    run.engine = Engine(scorer, settings=settings, join_witness=tried.append)
    asked = []
    for walk in walks:
        before = scorer.asked
        run.send(walk)
        asked.append(scorer.asked - before)
    assert len([one for one in tried if len(one.kept) > 12]) > 5
    assert max(one.pairs for one in tried) == settings.join.tracks**2
    assert max(asked[40:]) <= max(asked[12:26])
    assert run.of(1) != run.of(2)
