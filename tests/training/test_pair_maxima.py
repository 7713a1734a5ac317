"""The sparse form of the pooled maxima equals the readable one, gradients included."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.reid.qaconv import pooled_maxima
from streamreid.training.losses import triplet_loss
from streamreid.training.pair_maxima import pair_maxima
from tests.golden_data import load_golden
from tests.training.test_losses import assert_gradients, golden_batch, golden_matcher


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
