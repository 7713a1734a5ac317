"""Track against track: what both rules mean, computed the slow way."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from streamreid.reid.matching import FeatureMaps, match_scores
from streamreid.reid.multishot import MultiShot, track_scores
from streamreid.reid.qaconv import FoldedHead, fold
from tests.reid.test_matching_backends import layer_of, unit_maps

SIZE = (5, 3, 8)
RULES: list[MultiShot] = ["mean", "max"]


def scores_of(
    query: Tensor, gallery: Tensor, sizes: Sequence[int], head: FoldedHead, rule: MultiShot
) -> Tensor:
    packed = FeatureMaps.pack(gallery)
    return track_scores(
        FeatureMaps.pack(query),
        sizes,
        lambda start, stop: packed.select(slice(start, stop)),
        head,
        rule=rule,
    )


def slow_max(query: Tensor, gallery: Tensor, head: FoldedHead) -> float:
    """Every place looks for its partner in all crops of the other track at once."""
    ours = query.flatten(2).transpose(1, 2)
    theirs = gallery.flatten(2).transpose(1, 2)
    everything = theirs.reshape(-1, theirs.shape[2])
    query_side = (ours @ everything.T).amax(dim=2).mean(dim=0)
    everything = ours.reshape(-1, ours.shape[2])
    gallery_side = (theirs @ everything.T).amax(dim=2).mean(dim=0)
    weight = float(head.query_weight.abs().sum() + head.gallery_weight.abs().sum())
    return float(head.apply(query_side, gallery_side)) - 0.025 * weight * math.log(
        len(ours) * len(theirs)
    )


@pytest.mark.parametrize("version", ["2.1", "1.2"])
def test_rules_equal_the_slow_way(version: str) -> None:
    head = fold(layer_of(SIZE, version))
    query, gallery, sizes = unit_maps(3, 1, SIZE), unit_maps(7, 2, SIZE), [2, 0, 4, 1]
    groups = torch.split(gallery, sizes)
    mean = scores_of(query, gallery, sizes, head, "mean")
    best = scores_of(query, gallery, sizes, head, "max")
    assert torch.isnan(mean).tolist() == torch.isnan(best).tolist() == [False, True, False, False]
    for index in (0, 2, 3):
        pairs = match_scores(query, groups[index], head)
        assert float(mean[index]) == pytest.approx(float(pairs.mean()), abs=1e-5)
        assert float(best[index]) == pytest.approx(slow_max(query, groups[index], head), abs=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_single_crops_give_the_layers_score(rule: MultiShot) -> None:
    head = fold(layer_of(SIZE))
    query, gallery = unit_maps(1, 3, SIZE), unit_maps(5, 4, SIZE)
    found = scores_of(query, gallery, [1] * 5, head, rule)
    torch.testing.assert_close(found, match_scores(query, gallery, head)[0])


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_symmetric(rule: MultiShot) -> None:
    head = fold(layer_of(SIZE))
    one, other = unit_maps(3, 5, SIZE), unit_maps(4, 6, SIZE)
    there = scores_of(one, other, [4], head, rule)
    torch.testing.assert_close(there, scores_of(other, one, [3], head, rule))


@pytest.mark.parametrize("rule", RULES)
def test_many_groups_are_scored_in_pieces(rule: MultiShot) -> None:
    head = fold(layer_of(SIZE))
    query, gallery = unit_maps(2, 7, SIZE), unit_maps(900, 8, SIZE)
    sizes = [3] * 100 + [300] + [0] * 5 + [1] * 300
    together = scores_of(query, gallery, sizes, head, rule)
    assert together.shape == (406,)
    alone = scores_of(query, gallery[300:600], [300], head, rule)
    torch.testing.assert_close(together[100:101], alone)


def test_nothing_to_score_is_defined() -> None:
    head = fold(layer_of(SIZE))
    assert scores_of(unit_maps(1, 1, SIZE), unit_maps(0, 1, SIZE), [], head, "mean").shape == (0,)
    empty = scores_of(unit_maps(1, 1, SIZE), unit_maps(0, 1, SIZE), [0, 0], head, "max")
    assert torch.isnan(empty).all()
    with pytest.raises(ValueError, match="at least one map"):
        scores_of(unit_maps(0, 1, SIZE), unit_maps(1, 1, SIZE), [1], head, "mean")
    with pytest.raises(ValueError, match="multi-shot rule 'median'"):
        scores_of(unit_maps(1, 1, SIZE), unit_maps(1, 1, SIZE), [1], head, "median")  # type: ignore[arg-type]
