"""A snapshot brings the same gallery back, and a foreign or broken file is refused by name."""

from pathlib import Path

import numpy as np
import pytest

from streamreid.errors import StoreError
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.snapshot import load_gallery, save_gallery
from streamreid.types import CropKey
from tests.gallery.builders import entry, make_crops, make_ring, make_scorer


def filled() -> LocalScorer:
    scorer = make_scorer()
    entries = [entry(i + 1, track=i // 2, at_s=i / 3, camera="ab"[i % 2]) for i in range(20)]
    scorer.insert(entries, scorer.embed(make_crops([i // 2 for i in range(20)])))
    scorer.remove([CropKey(4), CropKey(11)])
    return scorer


def test_restored_gallery_answers_bit_for_bit_alike(tmp_path: Path) -> None:
    before, after = filled(), make_scorer()
    path = tmp_path / "gallery.safetensors"
    assert save_gallery(before.ring, path, weights_digest="w") == 18
    assert path.stat().st_mode & 0o077 == 0
    assert load_gallery(after.ring, path, weights_digest="w") == 18
    live = before.ring.slots_of([CropKey(i) for i in range(30)])
    again = after.ring.slots_of([CropKey(i) for i in range(30)])
    assert before.ring.entries(live) == after.ring.entries(again)
    query, groups = [CropKey(1), CropKey(2)], [[CropKey(i)] for i in range(3, 20)]
    np.testing.assert_array_equal(
        before.score(query, groups).score, after.score(query, groups).score
    )
    np.testing.assert_array_equal(
        before.candidates(query, 7).entry_ids, after.candidates(query, 7).entry_ids
    )
    assert after.evict(before_s=3.0) == before.evict(before_s=3.0)


def test_snapshot_replaces_an_older_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    scorer, path = filled(), tmp_path / "gallery.safetensors"
    save_gallery(scorer.ring, path, weights_digest="w")
    scorer.evict(before_s=100.0)
    assert save_gallery(scorer.ring, path, weights_digest="w") == 0
    assert [file.name for file in tmp_path.iterdir()] == ["gallery.safetensors"]
    assert load_gallery(make_ring(), path, weights_digest="w") == 0


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    save_gallery(filled().ring, path, weights_digest="w")
    with pytest.raises(StoreError, match="has weights_digest 'w', this process uses 'v'"):
        load_gallery(make_ring(), path, weights_digest="v")
    import torch

    with pytest.raises(StoreError, match="has layout"):
        load_gallery(make_ring(map_dtype=torch.bfloat16), path, weights_digest="w")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match=r"cannot be read.*delete it"):
        load_gallery(make_ring(), path, weights_digest="w")
    with pytest.raises(StoreError, match="cannot be read"):
        load_gallery(make_ring(), tmp_path / "missing", weights_digest="w")
    with pytest.raises(StoreError, match="cannot be written"):
        save_gallery(make_ring(), tmp_path / "no" / "folder", weights_digest="w")
