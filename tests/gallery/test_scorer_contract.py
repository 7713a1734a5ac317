"""One class of tests for everything that implements `Scorer`."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from streamreid.gallery.scorer import Scorer
from streamreid.gallery.sharded import ShardedScorer
from streamreid.reid.matching import FeatureMaps, match_scores
from streamreid.types import CropKey, TrackKey
from tests.gallery.builders import entry, make_crops, make_head, make_scorer

MakeScorer = Callable[[], Scorer]
PEOPLE = [0, 0, 1, 1, 2, 2, 0, 0, 3, 4]
TRACKS = [10, 10, 11, 11, 12, 12, 20, 20, 13, 14]


def local() -> Scorer:
    return make_scorer()


def on_a_gpu() -> Scorer:
    return make_scorer(device="cuda", map_dtype=torch.float16)


def sharded() -> Scorer:
    return ShardedScorer([make_scorer() for _ in range(3)])


def filled(make: MakeScorer) -> Scorer:
    """Five people in six tracks; tracks 10 and 20 are one person in two cameras."""
    scorer = make()
    entries = [
        entry(number + 1, track=track, at_s=float(number), camera="b" if track == 20 else "a")
        for number, track in enumerate(TRACKS)
    ]
    scorer.insert(entries, scorer.embed(make_crops(PEOPLE)))
    return scorer


def keys(*numbers: int) -> list[CropKey]:
    return [CropKey(number) for number in numbers]


@pytest.mark.parametrize("make", [local, sharded, pytest.param(on_a_gpu, marks=pytest.mark.gpu)])
class TestScorer:
    """What the engine may rely on, whoever answers."""

    def test_length_counts_live_entries(self, make: MakeScorer) -> None:
        scorer = filled(make)
        assert len(scorer) == 10
        assert scorer.evict(before_s=2.0) == 2
        assert scorer.remove(keys(3, 999)) == 1
        assert len(scorer) == 7

    def test_inserting_twice_changes_nothing(self, make: MakeScorer) -> None:
        scorer = filled(make)
        before = scorer.score(keys(7, 8), [keys(1, 2)])
        scorer.insert([entry(1, track=10, at_s=50.0)], scorer.embed(make_crops([4])))
        assert len(scorer) == 10
        np.testing.assert_array_equal(before.score, scorer.score(keys(7, 8), [keys(1, 2)]).score)

    def test_candidates_are_other_tracks_best_first(self, make: MakeScorer) -> None:
        found = filled(make).candidates(keys(7, 8), 4)
        assert not found.partial
        assert set(found.entry_ids[:2].tolist()) == {1, 2}
        assert found.tracks[:2].tolist() == [10, 10]
        assert 20 not in found.tracks
        assert np.all(np.diff(found.similarity) <= 0)
        assert len(found.entry_ids) == 4

    def test_excluded_tracks_do_not_appear(self, make: MakeScorer) -> None:
        found = filled(make).candidates(keys(7, 8), 100, exclude_tracks=[TrackKey(10)])
        assert sorted(found.entry_ids.tolist()) == [3, 4, 5, 6, 9, 10]

    def test_crops_that_arrived_early_do_not_appear_nor_take_a_place(
        self, make: MakeScorer
    ) -> None:
        """Entry n was captured at n - 1: what came at 8 or later is not there yet at 8."""
        scorer = filled(make)
        found = scorer.candidates(keys(1, 2), 100, before_s=8.0)
        assert sorted(found.entry_ids.tolist()) == [3, 4, 5, 6, 7, 8]
        later = scorer.candidates(keys(9), 2).entry_ids
        scorer.insert([entry(50, track=50, at_s=99.0)], scorer.embed(make_crops([3])))
        assert scorer.candidates(keys(9), 2).entry_ids[0] == 50
        found = scorer.candidates(keys(9), 2, before_s=99.0)
        np.testing.assert_array_equal(found.entry_ids, later)
        assert len(scorer.candidates(keys(9), 2, before_s=0.0).entry_ids) == 0

    @pytest.mark.parametrize(("k", "expected"), [(0, 0), (3, 3), (8, 8), (1000, 8)])
    def test_k_larger_than_the_gallery_gives_all(
        self, make: MakeScorer, k: int, expected: int
    ) -> None:
        assert len(filled(make).candidates(keys(7), k).entry_ids) == expected

    def test_score_prefers_the_same_person(self, make: MakeScorer) -> None:
        found = filled(make).score(keys(7, 8), [keys(1, 2), keys(3, 4), keys(5, 6), keys(9)])
        assert found.score.shape == (4,)
        assert int(np.argmax(found.score)) == 0
        assert not found.partial

    def test_score_is_the_layers_for_single_crops(self, make: MakeScorer) -> None:
        scorer = filled(make)
        extractor = make_scorer().extractor
        maps = FeatureMaps.pack(extractor(make_crops(PEOPLE)))
        expected = match_scores(maps.select(slice(6, 7)), maps, make_head())[0].numpy()
        found = scorer.score(keys(7), [keys(number) for number in range(1, 11)]).score
        np.testing.assert_allclose(found, expected, atol=0.03)

    def test_score_is_symmetric_and_blind_to_order(self, make: MakeScorer) -> None:
        scorer = filled(make)
        there = scorer.score(keys(7, 8), [keys(3, 4)]).score
        back = scorer.score(keys(4, 3), [keys(8, 7)]).score
        np.testing.assert_allclose(there, back, rtol=1e-5)

    def test_group_without_live_entry_is_nan(self, make: MakeScorer) -> None:
        scorer = filled(make)
        scorer.remove(keys(3, 4))
        found = scorer.score(keys(7), [keys(3, 4), [], keys(3, 5)]).score
        assert np.isnan(found[:2]).all()
        assert found[2] == scorer.score(keys(7), [keys(5)]).score[0]

    def test_query_that_left_gives_nan_and_no_candidates(self, make: MakeScorer) -> None:
        scorer = filled(make)
        assert np.isnan(scorer.score(keys(999), [keys(1)]).score).all()
        assert len(scorer.candidates(keys(999), 5).entry_ids) == 0

    def test_empty_gallery_answers(self, make: MakeScorer) -> None:
        scorer = make()
        assert len(scorer) == 0
        assert scorer.evict(before_s=1e12) == 0
        assert scorer.remove(keys(1)) == 0
        assert len(scorer.candidates(keys(1), 5).entry_ids) == 0
        assert scorer.score(keys(1), []).score.shape == (0,)
        assert scorer.embed([]).maps == ()

    def test_entries_and_maps_must_agree(self, make: MakeScorer) -> None:
        scorer = make()
        with pytest.raises(ValueError, match="2 entries came with 1 maps"):
            scorer.insert([entry(1), entry(2)], scorer.embed(make_crops([0])))
