"""The workers' counters reach the store, also those of workers that were killed."""

import os
from collections.abc import Mapping
from pathlib import Path

from streamreid.errors import StoreError
from streamreid.messages import Kind
from streamreid.runtime.counters import create_counters
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.stream_books import StreamBooks
from streamreid.types import CameraId
from tests.fakes import ManualClock


class FakeStore:
    """Knows some cameras and remembers what it is told."""

    def __init__(self, *cameras: str) -> None:
        self.cameras = set(cameras)
        self.streams: dict[tuple[str, int, Kind], tuple[int, dict[str, int]]] = {}
        self.writes = self.settled = 0

    def register_stream(self, camera_id: CameraId, incarnation: int) -> None:
        if camera_id not in self.cameras:
            raise StoreError(f"camera {camera_id} is not registered")

    def set_produced(
        self,
        camera_id: CameraId,
        incarnation: int,
        kind: Kind,
        produced: int,
        dropped: Mapping[str, int],
    ) -> None:
        given = {reason: count for reason, count in dropped.items() if count}
        self.streams[camera_id, incarnation, kind] = (produced, given)
        self.writes += 1

    def settle_crashes(self) -> None:
        self.settled += 1


def test_only_changes_are_written(tmp_path: Path) -> None:
    store = FakeStore("door")
    books = StreamBooks(tmp_path, store)
    with create_counters(tmp_path, "camera", "door", 1, clock=ManualClock()) as counters:
        counters.book("crop").produce()
        assert books.record() == 1
        assert books.record() == 0
        counters.book("crop").drop("queue_full")
        counters.book("track").produce()
        counters.book("track").drop("stale")
        assert books.record() == 2
    assert store.streams["door", 1, "crop"] == (1, {"queue_full": 1})
    assert store.streams["door", 1, "track"] == (1, {})
    assert books.record() == 0
    assert store.writes == 3
    assert store.settled == 4


def test_a_camera_that_the_store_does_not_know_yet_is_written_later(tmp_path: Path) -> None:
    store = FakeStore()
    books = StreamBooks(tmp_path, store)
    with create_counters(tmp_path, "camera", "door", 1, clock=ManualClock()) as counters:
        counters.book("crop").produce()
        assert books.record() == 0
        store.cameras.add("door")
        assert books.record() == 1


def test_what_a_run_left_that_was_killed_as_a_whole_is_written_by_the_next(tmp_path: Path) -> None:
    counters = create_counters(tmp_path, "camera", "door", 1, clock=ManualClock())
    counters.book("crop").produce()
    counters.close()
    Ledger(tmp_path, lambda _: None).begin()
    store = FakeStore("door")
    StreamBooks(tmp_path, store).record()
    assert store.streams["door", 1, "crop"] == (1, {"worker_crash": 1})


def test_a_worker_that_makes_its_messages_again_makes_good_what_the_crash_cost(
    tmp_path: Path,
) -> None:
    store, ledger = FakeStore("door"), Ledger(tmp_path, lambda _: None)
    books = StreamBooks(tmp_path, store)
    crashed = create_counters(tmp_path, "camera", "door", 1, clock=ManualClock())
    for _ in range(3):
        crashed.book("crop").produce()
    crashed.close()
    ledger.worker_died("camera", "door", os.getpid())
    books.record()
    assert store.streams["door", 1, "crop"] == (3, {"worker_crash": 3})
    assert [row.books["crop"].dropped_total for row in ledger.rows()] == [3]
    with create_counters(tmp_path, "camera", "door", 1, clock=ManualClock()) as again:
        for seq in range(4):
            again.book("crop").produce()
            again.book("crop").store(seq, in_flight=False)
        books.record()
        assert [row.books["crop"].stored for row in ledger.rows()] == [4]
    books.record()
    assert store.streams["door", 1, "crop"] == (4, {})
    assert ledger.check() == []
