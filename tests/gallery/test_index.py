"""The index finds what the matrix product finds, and forgets what leaves the gallery."""

import numpy as np
import torch
from torch.nn import functional

from streamreid.gallery.build import build_scorer
from streamreid.gallery.index import INDEX_BYTES, GraphIndex
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.ring import TABLE_BYTES, MapLayout, Ring
from streamreid.gallery.shortlist import search
from streamreid.types import CropKey
from tests.gallery.builders import entry, make_crops, make_head, make_scorer


def indexed_scorer(capacity: int) -> LocalScorer:
    plain = make_scorer(capacity)
    layout: MapLayout = plain.ring.layout
    return LocalScorer(
        plain.extractor,
        make_head(),
        Ring(layout, capacity, index=GraphIndex(layout.vector_size)),
        audited_share=1.0,
    )


def test_index_finds_nearly_all_of_what_is_nearest() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(100, 32, generator=generator)
    noise = torch.randn(3000, 32, generator=generator)
    vectors = functional.normalize(centres.repeat(30, 1) + 0.5 * noise, dim=1)
    index = GraphIndex(32)
    index.add(range(3000), vectors.numpy())
    ids, allowed = np.arange(3000), np.ones(3000, np.bool_)
    found = 0
    for number in range(50):
        allowed[:] = True
        allowed[number::100] = number % 2 == 0  # bar the nearest ones of every second query
        query = vectors[number : number + 1]
        exact = search(vectors, query, 20, allowed=allowed, entry_id=ids)
        quick = search(vectors, query, 20, allowed=allowed, entry_id=ids, index=index)
        assert quick.coarse is None
        assert allowed[quick.rows].all()
        assert len(quick.rows) == 20
        found += len(np.intersect1d(exact.rows, quick.rows))
    assert found >= 0.97 * 50 * 20


def test_gallery_with_an_index_answers_like_one_without() -> None:
    plain, indexed = make_scorer(60), indexed_scorer(60)
    entries = [entry(i + 1, track=i // 2, at_s=float(i)) for i in range(120)]
    crops = make_crops([i // 2 % 30 for i in range(120)])
    for scorer in (plain, indexed):
        embedded = scorer.embed(crops)
        scorer.insert(entries, embedded)  # twice as many as there is room for
        scorer.evict(before_s=80.0)
        scorer.remove([CropKey(100)])
    for number in (85, 90, 119):
        expected = plain.candidates([CropKey(number)], 10)
        found = indexed.candidates([CropKey(number)], 10)
        np.testing.assert_array_equal(found.entry_ids, expected.entry_ids)
        np.testing.assert_array_equal(found.similarity, expected.similarity)
    assert indexed.audit.finish(indexed.ring, indexed.head).audited == 3
    assert len(indexed.candidates([CropKey(85)], 0).entry_ids) == 0
    indexed.evict(before_s=1e9)
    assert len(indexed.candidates([CropKey(85)], 10).entry_ids) == 0


def test_large_galleries_get_an_index_and_room_for_it() -> None:
    scorer = build_scorer(
        "imagenet",
        device="cpu",
        features="torch-fp32",
        max_crops=10**9,
        memory_bytes=1 << 24,
        index_above=100,
    )
    assert scorer.description["search"] == "usearch"
    layout = scorer.ring.layout
    assert scorer.ring.capacity == (1 << 24) // (layout.bytes_per_crop + TABLE_BYTES + INDEX_BYTES)
