"""What the configuration says about the gallery reaches the scorer; the store fills it again."""

from pathlib import Path

import numpy as np
import pytest

from streamreid.config import parse_config
from streamreid.config.models import Config
from streamreid.gallery.ring import TABLE_BYTES
from streamreid.runtime.matcher_setup import build_engine, build_gallery
from streamreid.store import Batch, CropRow, MessageId, RunInfo, StoreWriter, open_store
from streamreid.types import CameraId, CropKey, TrackId
from tests.fakes import ManualClock
from tests.gallery.builders import entry, make_crops

DOOR = CameraId("door")


def config_with(matcher: str, folder: Path) -> Config:
    text = f"""
streamreid: 1
cameras:
  door: {{url: "rtsp://10.0.0.11/stream"}}
matcher: {{device: cpu, weights: imagenet, features: torch-fp32, {matcher}}}
"""
    return parse_config(text.encode(), name="cams.yaml", folder=folder, environ={})


@pytest.mark.parametrize(("exact", "found"), [("true", 11), ("false", 3)])
def test_exact_turns_the_shortlist_off(tmp_path: Path, exact: str, found: int) -> None:
    scorer = build_gallery(config_with(f"exact: {exact}", tmp_path))
    entries = [entry(i + 1, track=i, at_s=float(i)) for i in range(12)]
    scorer.insert(entries, scorer.embed(make_crops(range(12))))
    assert len(scorer.candidates([CropKey(1)], 3).entry_ids) == found
    assert scorer.description["exact"] is (exact == "true")


def test_limits_of_the_gallery_are_those_of_the_file(tmp_path: Path) -> None:
    limits = "gallery: {max_age: 10m, max_crops: 50000, memory: 4MiB}"
    scorer = build_gallery(config_with(limits, tmp_path))
    per_crop = scorer.ring.layout.bytes_per_crop + TABLE_BYTES
    assert scorer.ring.capacity == (4 << 20) // per_crop
    assert scorer.max_age_s == 600.0


def fill(store: StoreWriter, maps: tuple[bytes, ...], vectors: np.ndarray, digest: str) -> None:
    """Crops a minute apart, as a run commits them."""
    store.register_camera(DOOR, url="rtsp://10.0.0.11/stream")
    store.register_stream(DOOR, 1)
    rows = [
        CropRow(
            message=MessageId(DOOR, 1, "crop", number),
            key=store.reserve_crop(),
            track=store.track_key(DOOR, 1, TrackId(number), 60.0 * number),
            captured_at_s=60.0 * number,
            box_xyxy=np.array([1, 2, 30, 90], np.float32),
            confidence=0.9,
            quality=0.5,
            jpeg=None,
            vector=vectors[number].astype("<f2").tobytes(),
            feature_map=maps[number],
            weights_digest=digest,
        )
        for number in range(len(maps))
    ]
    store.commit(Batch(crops=tuple(rows)))


def test_a_restarted_matcher_has_its_gallery_back_within_the_age_limit(tmp_path: Path) -> None:
    config = config_with("gallery: {max_age: 10m}", tmp_path)
    before, after = build_gallery(config), build_gallery(config)
    embedded = before.embed(make_crops(range(20)))
    with open_store(tmp_path / "s.sqlite", run=RunInfo(), clock=ManualClock()) as store:
        fill(store, embedded.maps, embedded.vectors, before.weights_digest)
        build_engine(config, after, store)
    before.insert([entry(i + 1, track=i + 1, at_s=60.0 * i) for i in range(20)], embedded)
    before.evict(before_s=60.0 * 19 - 600.0)
    assert len(after) == len(before) == 11
    query, groups = [CropKey(20)], [[CropKey(number)] for number in range(1, 20)]
    np.testing.assert_array_equal(
        after.score(query, groups).score, before.score(query, groups).score
    )
    np.testing.assert_array_equal(
        after.candidates(query, 5).entry_ids, before.candidates(query, 5).entry_ids
    )


def test_crops_of_other_weights_are_not_compared_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_with("gallery: {max_age: 10m}", tmp_path)
    scorer = build_gallery(config)
    embedded = scorer.embed(make_crops(range(3)))
    with open_store(tmp_path / "s.sqlite", run=RunInfo(), clock=ManualClock()) as store:
        fill(store, embedded.maps, embedded.vectors, "0" * 64)
        build_engine(config, scorer, store)
    assert len(scorer) == 0
    assert "3 stored crops were made with other weights" in caplog.text
