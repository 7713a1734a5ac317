"""Operators' corrections win for good, can be undone, and never bend the world."""

import pytest

from streamreid.association.ledger import replay
from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded, Decision, OperatorCommand, Outcome, RestoredState
from streamreid.engine.inbox import event_time_s
from streamreid.engine.settings import EngineSettings
from streamreid.errors import AssociationError
from streamreid.types import IdentityId, TrackKey
from tests.engine.planted import Scene, Walk

WALKS = [
    Walk(1, 0, "door", 0.0, 8.0),
    Walk(2, 1, "door", 4.0, 12.0),
    Walk(3, 0, "hall", 20.0, 30.0),
    Walk(4, 2, "hall", 50.0, 58.0),
]


class Session:
    """A running engine and its ledger."""

    def __init__(self, walks: list[Walk], planted: list[Walk] | None = None) -> None:
        self.scene = Scene(planted or walks)
        self.scorer = self.scene.scorer()
        self.engine = Engine(self.scorer, settings=EngineSettings(lag_s=20.0))
        self.rows: list[Decision] = []
        self.identities: dict[IdentityId, str] = {}
        self.now_s = 0.0
        for walk in walks:
            self.send(walk)
        self.now_s += 5.0
        self.keep(self.engine.tick(self.now_s))

    def send(self, walk: Walk) -> None:
        for event in self.scene.events(walk):
            self.now_s = max(self.now_s, event_time_s(event))
            if isinstance(event, CropAdded):
                self.scorer.insert([self.scene.entries(event)])
            self.keep(self.engine.observe(event, self.now_s))

    def keep(self, outcome: Outcome) -> None:
        self.rows.extend(outcome.decisions)
        for update in outcome.identities:
            self.identities[update.identity_id] = update.status

    def order(self, verb: str, first: int, second: int | None = None, *tracks: int) -> None:
        command = OperatorCommand(
            verb,  # type: ignore[arg-type]
            IdentityId(first),
            None if second is None else IdentityId(second),
            tuple(TrackKey(track) for track in tracks),
            actor="ana",
        )
        self.keep(self.engine.observe(command, self.now_s))

    def of(self, track: int) -> int:
        return int(replay(self.rows)[TrackKey(track)].identity_id)

    def finish(self) -> None:
        self.keep(self.engine.close(self.now_s))


def test_merge_wins_for_good() -> None:
    session = Session(WALKS)
    session.finish()
    kept, gone = session.of(1), session.of(4)
    session.order("merge", kept, gone)
    session.finish()
    assert session.of(4) == session.of(1) == kept
    assert session.identities[IdentityId(gone)] == "merged"
    assert {row.actor for row in session.rows if row.track == 4 and row.reason == "merged"} == {
        "ana"
    }


def test_merge_of_people_who_were_side_by_side_is_refused() -> None:
    session = Session(WALKS)
    session.finish()
    with pytest.raises(AssociationError, match="at the same time"):
        session.order("merge", session.of(1), session.of(2))


def test_split_keeps_tracks_apart_although_they_look_alike() -> None:
    session = Session(WALKS)
    session.order("split", session.of(1), None, 3)
    fresh = session.of(3)
    session.finish()
    assert session.of(3) == fresh != session.of(1)
    assert fresh == max(int(key) for key in session.identities)


def test_confirm_fixes_a_track_that_is_still_open() -> None:
    session = Session(WALKS[:1], planted=WALKS)
    identity = session.of(1)
    session.order("confirm", identity)
    session.send(WALKS[2])
    session.finish()
    assert replay(session.rows)[TrackKey(1)].final
    assert [row.reason for row in session.rows if row.track == 1][-1] == "confirmed"
    assert session.of(3) == identity


def test_rejected_identities_never_become_one() -> None:
    session = Session(WALKS)
    first, other = session.of(1), session.of(4)
    session.order("reject", first, other)
    session.finish()
    assert session.of(1) != session.of(4)
    rows = [row for row in session.rows if row.reason == "rejected"]
    assert {row.runner_up_identity_id for row in rows} == {first, other}


@pytest.mark.parametrize("restarted", [False, True])
def test_undo_brings_back_what_was(restarted: bool) -> None:
    session = Session(WALKS)
    session.finish()
    kept, gone = session.of(1), session.of(4)
    session.order("merge", kept, gone)
    if restarted:
        restart(session)
    session.order("undo", kept)
    assert session.of(4) == gone
    assert session.of(1) == kept
    assert session.identities[IdentityId(gone)] == "confirmed"
    with pytest.raises(AssociationError, match="no operator command"):
        session.order("undo", kept)


def restart(session: Session) -> None:
    """Continue in a new engine that knows only the ledger."""
    from streamreid.engine.events import IdentityUpdate, RestoredTrack

    held = replay(session.rows)
    tracks = tuple(
        RestoredTrack(
            TrackKey(walk.track),
            session.scene.events(walk)[0].camera_id,
            walk.started_at_s,
            walk.ended_at_s,
            True,
            (),
            (),
            (),
            held[TrackKey(walk.track)].identity_id,
            held[TrackKey(walk.track)].revision,
            held[TrackKey(walk.track)].final,
        )
        for walk in session.scene.walks
    )
    merged = {key for key, status in session.identities.items() if status == "merged"}
    identities = tuple(
        IdentityUpdate(
            key,
            status,  # type: ignore[arg-type]
            0.0,
            0.0,
            next(row.identity_id for row in session.rows if row.reason == "merged")
            if key in merged
            else None,
        )
        for key, status in session.identities.items()
    )
    session.engine = Engine(session.scorer, settings=EngineSettings(lag_s=20.0))
    next_id = max(int(key) for key in session.identities) + 1
    session.engine.restore(RestoredState(tracks, identities, tuple(session.rows), (), next_id))


@pytest.mark.parametrize(
    ("verb", "first", "second", "tracks", "message"),
    [
        ("merge", 1, 99, (), "no such id"),
        ("merge", 1, 1, (), "second identity"),
        ("reject", 1, None, (), "second identity"),
        ("split", 1, None, (), "must name some"),
        ("split", 1, None, (77,), "do not belong"),
        ("confirm", 42, None, (), "no such id"),
        ("undo", 1, None, (), "no operator command"),
    ],
)
def test_says_what_is_wrong(
    verb: str, first: int, second: int | None, tracks: tuple[int, ...], message: str
) -> None:
    session = Session(WALKS)
    with pytest.raises(AssociationError, match=message):
        session.order(verb, first, second, *tracks)
