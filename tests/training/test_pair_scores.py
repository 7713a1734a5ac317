"""Pair maxima and scores: equal to the readable form, gradients included; the softmax loss."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from streamreid.reid.qaconv import pooled_maxima
from streamreid.training.losses import triplet_loss
from streamreid.training.pair_scores import pair_maxima, pair_scores, pair_softmax_loss
from tests.golden_data import load_golden
from tests.training.test_losses import assert_gradients, golden_batch, golden_matcher


def make_maps(count: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return functional.normalize(torch.randn(count, 8, 6, 3, generator=generator), dim=1)


def make_weight() -> torch.Tensor:
    return torch.randn(18, generator=torch.Generator().manual_seed(2)).softmax(0)


def plain_scores(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    of_query, of_gallery = pooled_maxima(maps, maps)
    return (of_query @ weight + of_gallery @ weight) / 2


def test_scores_and_gradients_equal_the_plain_layer() -> None:
    results = []
    for scores in (pair_scores, plain_scores):
        maps, weight = make_maps().requires_grad_(), make_weight().requires_grad_()
        score = scores(maps, weight)
        (score * torch.arange(25.0).view(5, 5).sin()).sum().backward()
        results.append((score.detach(), maps.grad, weight.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_scores_are_symmetric_and_one_for_an_image_with_itself() -> None:
    score = pair_scores(make_maps(), make_weight())
    torch.testing.assert_close(score, score.T)
    torch.testing.assert_close(score.diagonal(), torch.ones(5))


def test_bfloat16_products_stay_close() -> None:
    exact = pair_scores(make_maps(), make_weight())
    rough = pair_scores(make_maps(), make_weight(), dtype=torch.bfloat16)
    assert rough.dtype == torch.float32
    assert float((exact - rough).abs().max()) < 0.02


def test_loss_of_equal_scores_counts_the_false_partners() -> None:
    identity = torch.tensor([0, 0, 1, 1])
    loss, _ = pair_softmax_loss(torch.zeros(4, 4), identity, temperature=24.0)
    assert math.isclose(loss.item(), math.log(3), rel_tol=1e-6)


def test_loss_ignores_the_diagonal_and_accuracy_sees_the_nearest() -> None:
    identity = torch.tensor([0, 0, 1, 1])
    score = torch.tensor(
        [[0.0, 0.9, 0.1, 0.1], [0.9, 0.0, 0.1, 0.1], [0.1, 0.1, 0.0, 0.9], [0.5, 0.1, 0.4, 0.0]]
    )
    loss, accuracy = pair_softmax_loss(score, identity, temperature=24.0)
    changed = score + 100 * torch.eye(4)
    again, _ = pair_softmax_loss(changed, identity, temperature=24.0)
    assert accuracy.item() == 0.75
    torch.testing.assert_close(loss, again)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    queries=st.integers(1, 4),
    items=st.integers(1, 20),
    same=st.booleans(),
)
def test_values_and_gradients_equal_the_readable_form(
    seed: int, queries: int, items: int, same: bool
) -> None:
    random = torch.Generator().manual_seed(seed)
    query = torch.randn(queries, 3, 4, 2, generator=random, dtype=torch.float64)
    gallery = query if same else torch.randn(items, 3, 4, 2, generator=random, dtype=torch.float64)
    count = len(gallery)
    weights = torch.randn(2, queries, count, 8, generator=random, dtype=torch.float64)
    results = []
    for maxima in (pooled_maxima, pair_maxima):
        left = query.clone().requires_grad_()
        right = left if same else gallery.clone().requires_grad_()
        per_query, per_gallery = maxima(left, right)
        total = (per_query * weights[0]).sum() + (per_gallery * weights[1]).sum()
        inputs = [left] if same else [left, right]
        results.append((per_query, per_gallery, *torch.autograd.grad(total, inputs)))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["triplet_m16", "triplet_m16_24x8"])
def test_training_step_equals_golden(name: str) -> None:
    arrays = load_golden(name)
    features, targets = golden_batch(arrays)
    matcher = golden_matcher(arrays, "init_", "2.1")
    score = matcher.head(*pair_maxima(features, features))
    np.testing.assert_allclose(score.detach(), arrays["train_score"], atol=1e-5, rtol=0)
    loss, _ = triplet_loss(score, targets, margin=float(arrays["margin"]))
    loss.mean().backward()
    assert_gradients(arrays, "", features, matcher)
