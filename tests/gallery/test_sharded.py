"""One scorer and three in-process shards answer alike; a dead shard is told, not hidden."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import Candidates, Embeddings, Fetched, GalleryEntry
from streamreid.gallery.sharded import ShardedScorer, ShardError
from streamreid.types import CropKey, Float32Array, TrackKey, UInt8Array
from tests.gallery.builders import entry, make_crops, make_scorer


class MortalShard:
    """A local scorer behind a switch, as a remote one behind a cable."""

    def __init__(self, scorer: LocalScorer) -> None:
        self._scorer = scorer
        self.alive = True

    def _reach(self) -> LocalScorer:
        if not self.alive:
            raise ShardError("shard does not answer")
        return self._scorer

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        return self._reach().embed(crops)

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings) -> None:
        self._reach().insert(entries, embeddings)

    def evict(self, *, before_s: float) -> int:
        return self._reach().evict(before_s=before_s)

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        return self._reach().remove(entry_ids)

    def fetch(self, entry_ids: Sequence[CropKey]) -> Fetched:
        return self._reach().fetch(entry_ids)

    def candidates_of(
        self,
        vectors: Float32Array,
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        return self._reach().candidates_of(
            vectors, k, exclude_tracks=exclude_tracks, before_s=before_s
        )

    def score_of(self, query: Sequence[bytes], groups: Sequence[Sequence[CropKey]]) -> Float32Array:
        return self._reach().score_of(query, groups)

    def score_apart(self, query: Sequence[bytes], group: Sequence[bytes]) -> float:
        return self._reach().score_apart(query, group)

    def __len__(self) -> int:
        return len(self._reach())


def gallery_of(count: int) -> tuple[list[GalleryEntry], Embeddings]:
    """Entries of `count // 3` tracks, three crops each, of a dozen people."""
    entries = [entry(i + 1, track=i // 3, at_s=float(i)) for i in range(count)]
    return entries, make_scorer().embed(make_crops([i // 3 % 12 for i in range(count)]))


@pytest.mark.parametrize("rule", ["mean", "max"])
@pytest.mark.parametrize("k", [1, 5, 500])
def test_three_shards_answer_like_one(k: int, rule: str) -> None:
    entries, embeddings = gallery_of(120)
    one = make_scorer(capacity=200, rule=rule)
    three = ShardedScorer([make_scorer(capacity=200, rule=rule) for _ in range(3)])
    one.insert(entries, embeddings)
    three.insert(entries, embeddings)
    groups = [[CropKey(3 * t + i) for i in (1, 2, 3)] for t in range(1, 40)]
    groups += [[CropKey(10), CropKey(20), CropKey(30)], []]  # a group over three tracks, none
    for query in ([CropKey(1)], [CropKey(2), CropKey(3)], [CropKey(64), CropKey(66)]):
        found, expected = three.candidates(query, k), one.candidates(query, k)
        np.testing.assert_array_equal(found.entry_ids, expected.entry_ids)
        np.testing.assert_array_equal(found.tracks, expected.tracks)
        np.testing.assert_allclose(found.similarity, expected.similarity, atol=1e-6)
        scores = three.score(query, groups)
        np.testing.assert_allclose(scores.score, one.score(query, groups).score, atol=1e-5)
        assert not found.partial
        assert not scores.partial
    assert three.evict(before_s=60.0) == one.evict(before_s=60.0) == 60
    assert len(three) == len(one)


def test_dead_shard_gives_partial_answers() -> None:
    shards = [MortalShard(make_scorer()) for _ in range(3)]
    scorer = ShardedScorer(shards)
    entries, embeddings = gallery_of(36)
    scorer.insert(entries, embeddings)
    shards[1].alive = False
    assert len(scorer) == 24
    found = scorer.candidates([CropKey(1)], 100)
    assert found.partial
    assert set(found.tracks.tolist()) == {2, 3, 5, 6, 8, 9, 11}
    scores = scorer.score([CropKey(1)], [[CropKey(4)], [CropKey(7)]])
    assert scores.partial
    assert np.isnan(scores.score).tolist() == [True, False]
    scorer.insert([entry(100, track=4), entry(101, track=5)], scorer.embed(make_crops([0, 1])))
    assert scorer.missed_inserts == 1
    assert len(scorer.embed(make_crops([0])).maps) == 1


def test_query_on_a_dead_shard_has_no_answer_but_says_so() -> None:
    shards = [MortalShard(make_scorer()) for _ in range(2)]
    scorer = ShardedScorer(shards)
    scorer.insert(*gallery_of(12))
    shards[0].alive = False
    scores = scorer.score([CropKey(1)], [[CropKey(4)]])
    assert scores.partial
    assert np.isnan(scores.score).all()
    assert scorer.candidates([CropKey(1)], 3).partial


def test_without_any_shard_nothing_is_made_up() -> None:
    shard = MortalShard(make_scorer())
    scorer = ShardedScorer([shard])
    shard.alive = False
    assert len(scorer) == 0
    with pytest.raises(ShardError, match="none of 1 gallery shards answers"):
        scorer.embed(make_crops([0]))
    with pytest.raises(ValueError, match="at least one shard"):
        ShardedScorer([])
