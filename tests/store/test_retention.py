"""Retention is exact, never early, whatever the clock does (S14)."""

from pathlib import Path

import pytest

from streamreid.store import Batch, StoreWriter, TrackEnd
from streamreid.store.retention import STEP_CROPS, STEP_TRACKS, Retention, used_bytes
from tests.store.builders import (
    ManualClock,
    crop_row,
    detection_rows,
    full_batch,
    open_writer,
    outcome,
)

DAY_S = 86400.0


def retention(store: StoreWriter, clock: ManualClock, size: int | None = None) -> Retention:
    return Retention(store, clock=clock, max_age_s=DAY_S, max_size_bytes=size)


def count(store: StoreWriter, table: str) -> int:
    query = f"SELECT count(*) FROM {table}"  # noqa: S608 - the tables are named in this file
    return int(store.connection.execute(query).fetchone()[0])


@pytest.mark.parametrize(
    ("age_s", "kept"),
    [(DAY_S - 1, True), (DAY_S, True), (DAY_S + 0.001, False), (DAY_S + 1, False)],
)
def test_rows_go_exactly_at_their_age(tmp_path: Path, age_s: float, kept: bool) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        batch = full_batch(store, 1)
        store.commit(batch)
        clock.advance(age_s)
        removed = keeper.step()
        assert bool(removed.tracks) is not kept
        assert removed.crops == (() if kept else (batch.crops[0].key,))
        for table in ("tracks", "crops", "detections", "decisions", "identities"):
            assert bool(count(store, table)) is kept, table


def test_capture_times_of_long_ago_do_not_age_a_row(tmp_path: Path) -> None:
    clock = ManualClock(now_s=2e9)
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        store.commit(full_batch(store, 1))
        assert retention(store, clock).step().tracks == ()


@pytest.mark.parametrize("jump_s", [-10 * DAY_S, -1.0, 10 * DAY_S, 3650 * DAY_S])
def test_a_clock_that_jumps_deletes_nothing_early(tmp_path: Path, jump_s: float) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        store.commit(full_batch(store, 1))
        clock.wall_s += jump_s
        for _ in range(3):
            clock.advance(DAY_S / 4)
            assert keeper.step().tracks == ()
        assert count(store, "tracks") == 1


def test_rows_of_a_clock_that_was_ahead_stay_until_their_time(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        clock.wall_s += 5 * DAY_S
        store.commit(full_batch(store, 1))
        clock.wall_s -= 5 * DAY_S
        keeper = retention(store, clock)
        clock.advance(5.9 * DAY_S)
        assert keeper.step().tracks == ()
        clock.advance(0.2 * DAY_S)
        assert len(keeper.step().tracks) == 1


def test_a_track_that_goes_on_keeps_its_newer_crops(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        old = crop_row(store, 1)
        store.commit(Batch(crops=(old,), detections=(detection_rows(store, 1),)))
        clock.advance(DAY_S)
        store.commit(Batch(crops=(crop_row(store, 2),)))
        clock.advance(1.0)
        removed = keeper.step()
        assert (removed.tracks, removed.crops) == ((), (old.key,))
        assert (count(store, "tracks"), count(store, "crops")) == (1, 1)


def test_an_identity_stays_while_it_has_tracks(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        first = full_batch(store, 1)
        store.commit(first)
        clock.advance(DAY_S)
        crop = crop_row(store, 2, track=2)
        store.commit(Batch(crops=(crop,), outcome=outcome(crop.track, 2)))
        clock.advance(1.0)
        assert keeper.step().tracks == (first.crops[0].track,)
        assert count(store, "identities") == 1
        clock.advance(DAY_S)
        keeper.step()
        assert count(store, "identities") == 0


def test_much_goes_in_small_steps(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        total = STEP_TRACKS + 30
        store.commit(Batch(crops=tuple(crop_row(store, i, track=i) for i in range(total))))
        clock.advance(2 * DAY_S)
        steps = [keeper.step(), keeper.step(), keeper.step()]
        assert [len(step.tracks) for step in steps] == [STEP_TRACKS, 30, 0]
        assert [step.more for step in steps] == [True, False, False]
        assert len({key for step in steps for key in step.crops}) == total


def test_a_step_ends_early_when_tracks_are_large(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        each = STEP_CROPS - 50
        crops = (crop_row(store, i, track=i // each, size=1) for i in range(3 * each))
        store.commit(Batch(crops=tuple(crops)))
        clock.advance(2 * DAY_S)
        steps = [keeper.step(), keeper.step(), keeper.step()]
        assert [len(step.tracks) for step in steps] == [2, 1, 0]
        assert [step.more for step in steps] == [True, False, False]
        assert len({key for step in steps for key in step.crops}) == 3 * each


def test_the_file_shrinks_below_its_limit_oldest_first(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock, size=2**20)
        for number in range(1, 101):
            crop = crop_row(store, number, track=number, size=20_000)
            end = TrackEnd(None, crop.track, 99.0, 100.0, "left")
            store.commit(Batch(crops=(crop,), ends=(end,) if number < 100 else ()))
            clock.advance(1.0)
        assert used_bytes(store) > 3 * 2**20
        gone: list[int] = []
        while (step := keeper.step()).more:
            gone += step.tracks
            assert len(step.tracks) <= STEP_TRACKS
        assert used_bytes(store) < 2**20
        assert gone == sorted(gone)
        assert count(store, "tracks WHERE ended_at IS NULL") == 1
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        assert pages * 4096 < 2 * 2**20, "the freed pages were given back"


def test_maps_go_and_vectors_stay(tmp_path: Path) -> None:
    clock = ManualClock()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        rows = tuple(crop_row(store, i, at_s=100.0 + i % 2) for i in range(STEP_CROPS + 100))
        store.commit(Batch(crops=rows))
        assert [keeper.forget_maps(101.0), keeper.forget_maps(101.0)] == [len(rows) // 2, 0]
        assert count(store, "crops WHERE feature_map IS NULL") == len(rows) // 2
        assert count(store, "crops WHERE vector IS NULL") == 0
        assert keeper.forget_maps(1e9) + keeper.forget_maps(1e9) == len(rows) // 2


def test_files_that_belong_to_the_store_go_too(tmp_path: Path) -> None:
    clock = ManualClock()
    artifact = tmp_path / "sheet.jpg"
    artifact.touch()
    with open_writer(tmp_path / "s.sqlite", clock) as store:
        keeper = retention(store, clock)
        store.connection.execute(
            "INSERT INTO artifacts (path, kind, created_at) VALUES (?, 'sheet', ?)",
            (str(artifact), clock.now_s()),
        )
        clock.advance(DAY_S)
        keeper.step()
        assert artifact.exists()
        clock.advance(1.0)
        keeper.step()
        assert not artifact.exists()
        assert count(store, "artifacts") == 0
