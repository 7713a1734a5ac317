"""How long a matcher takes to have its gallery back: from a snapshot, and from the store."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from streamreid.cli.bench_gallery import filled_scorer
from streamreid.cli.bench_table import Table, Value
from streamreid.clock import SystemClock
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import GalleryEntry
from streamreid.gallery.snapshot import load_gallery, save_gallery
from streamreid.store import Batch, CropRow, MessageId, RunInfo, gallery_rows, open_store
from streamreid.types import CameraId, CropKey, TrackId

_CAMERA = CameraId("bench")
_BOX = np.array([10, 20, 40, 80], np.float32)
_BATCH = 256


def restart_table(
    *, sizes: Sequence[int] = (20_000,), progress: Callable[[str], None] = lambda text: None
) -> Table:
    """Write and read a snapshot; write a store as a run does, and fill a gallery from it.

    Args:
        sizes: Crops in the gallery.
        progress: Told what is being measured.
    """
    rows: list[dict[str, Value]] = []
    for size in sizes:
        progress(f"restart with {size:,} crops")
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_row(filled_scorer(size), Path(folder)))
    notes = ["Wall time. The store holds the crops' maps and vectors as `run` keeps them."]
    return Table("Restart", rows, notes)


def _row(before: LocalScorer, folder: Path) -> dict[str, Value]:
    """Both ways back for one gallery."""
    snapshot, store = folder / "gallery.safetensors", folder / "s.sqlite"
    saved_s = _taken_s(lambda: save_gallery(before.ring, snapshot, weights_digest="bench"))
    loaded = before.empty_copy()
    loaded_s = _taken_s(lambda: load_gallery(loaded.ring, snapshot, weights_digest="bench"))
    _write_store(before, store)
    restored = before.empty_copy()
    restored_s = _taken_s(lambda: _read_store(restored, store))
    return {
        "crops": len(before),
        "snapshot MiB": snapshot.stat().st_size / 2**20,
        "write snapshot s": saved_s,
        "read snapshot s": loaded_s,
        "back from snapshot": len(loaded),
        "fill from store s": restored_s,
        "back from store": len(restored),
    }


def _write_store(scorer: LocalScorer, path: Path) -> None:
    """The gallery as rows of the store, through the writer that `run` uses."""
    entry_ids = [CropKey(int(entry)) for entry in scorer.ring.entry_id[scorer.ring.live]]
    with open_store(path, run=RunInfo(), clock=SystemClock()) as store:
        store.register_camera(_CAMERA, url="bench.mp4")
        store.register_stream(_CAMERA, 1)
        for start in range(0, len(entry_ids), _BATCH):
            fetched = scorer.fetch(entry_ids[start : start + _BATCH])
            vectors = fetched.embeddings.vectors.astype("<f2")
            rows = [
                CropRow(
                    message=MessageId(_CAMERA, 1, "crop", start + number),
                    key=store.reserve_crop(),
                    track=store.track_key(_CAMERA, 1, TrackId(entry.track), 0.0),
                    captured_at_s=entry.captured_at_s,
                    box_xyxy=_BOX,
                    confidence=0.9,
                    quality=0.5,
                    jpeg=None,
                    vector=vectors[number].tobytes(),
                    feature_map=fetched.embeddings.maps[number],
                    weights_digest="bench",
                )
                for number, entry in enumerate(fetched.entries)
            ]
            store.commit(Batch(crops=tuple(rows)))


def _read_store(scorer: LocalScorer, path: Path) -> None:
    """Fill an empty gallery as a restarted matcher does."""
    with open_store(path, run=RunInfo(), clock=SystemClock()) as store:
        for rows in gallery_rows(store, since_s=-1.0):
            scorer.restore(
                [GalleryEntry(r.entry_id, r.camera_id, r.track, r.captured_at_s) for r in rows],
                [row.feature_map for row in rows],
                np.stack([np.frombuffer(row.vector, "<f2").astype(np.float32) for row in rows]),
            )


def _taken_s(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
