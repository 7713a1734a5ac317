"""The ledger: append-only, ids made once, state equal to what its rows say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.association.ledger import Decision, IdentityUpdate, Ledger, Numbers, replay
from streamreid.types import IdentityId, TrackKey

NUMBERS = Numbers(probability=0.5)


def assign(ledger: Ledger, track: int, identity: IdentityId, *, final: bool = False) -> None:
    ledger.assign(
        TrackKey(track), identity, NUMBERS, at_s=1.0, seen_at_s=1.0, reason="matched", final=final
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4), st.booleans()), max_size=40))
def test_rows_replay_to_the_state(moves: list[tuple[int, int, bool]]) -> None:
    ledger = Ledger()
    rows: list[Decision] = []
    made: list[IdentityId] = []
    for track, choice, final in moves:
        living = [identity for identity in made if ledger.knows(identity)]
        identity = living[choice % len(living)] if choice and living else ledger.new_identity(0.0)
        made.append(identity)
        assign(ledger, track, identity, final=final)
        rows.extend(ledger.drain()[0])
    assert len(set(made)) == len({int(identity) for identity in made})
    for track, holding in replay(rows).items():
        assert ledger.holding(track) == holding


def test_nothing_is_written_when_nothing_changed() -> None:
    ledger = Ledger()
    identity = ledger.new_identity(0.0)
    for _ in range(3):
        assign(ledger, 1, identity)
    assert len(ledger.drain()[0]) == 1
    assert ledger.drain() == ((), ())


def test_an_identity_without_tracks_points_to_where_they_went() -> None:
    ledger = Ledger()
    first, second = ledger.new_identity(0.0), ledger.new_identity(0.0)
    assign(ledger, 1, first)
    assign(ledger, 2, second, final=True)
    assign(ledger, 1, second)
    updates = {update.identity_id: update for update in ledger.drain()[1]}
    assert updates[first].status == "merged"
    assert updates[first].merged_into == second
    assert updates[second].status == "confirmed"
    assert ledger.resolve(first) == second


def test_ids_are_never_used_again() -> None:
    ledger = Ledger(next_identity_id=5)
    ledger.adopt(IdentityUpdate(IdentityId(9), "confirmed", 0.0, 0.0))
    first = ledger.new_identity(0.0)
    assign(ledger, 1, first)
    ledger.forget(TrackKey(1))
    assert ledger.new_identity(0.0) == first + 1 == 11


def test_forgetting_leaves_nothing_behind() -> None:
    ledger = Ledger()
    for track in range(50):
        identity = ledger.new_identity(0.0)
        assign(ledger, track, identity)
        if track % 2:
            assign(ledger, track - 1, identity)
    for track in range(50):
        ledger.forget(TrackKey(track))
    assert len(ledger) == 0


def test_missing_rows_are_noticed() -> None:
    ledger = Ledger()
    identity = ledger.new_identity(0.0)
    assign(ledger, 1, identity)
    assign(ledger, 1, ledger.new_identity(0.0))
    assign(ledger, 1, ledger.new_identity(0.0))
    rows = ledger.drain()[0]
    with pytest.raises(ValueError, match="missing or out of order"):
        replay([rows[0], rows[2]])
