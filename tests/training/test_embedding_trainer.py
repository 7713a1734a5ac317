"""The baseline's loss: right hardest partners, right value."""

import math

import torch

from streamreid.training.embedding_trainer import pool, weighted_triplet_loss


def on_circle(degrees: list[float]) -> torch.Tensor:
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


def test_a_large_scale_leaves_the_furthest_true_and_the_nearest_false_partner() -> None:
    vectors = on_circle([0, 20, 40, 95, 110])
    identity = torch.tensor([0, 0, 0, 1, 1])
    loss, accuracy = weighted_triplet_loss(vectors, identity, scale=200.0)
    gaps = [chord(40) - chord(95), chord(20) - chord(75), chord(40) - chord(55)]
    gaps += [chord(15) - chord(55), chord(15) - chord(70)]
    expected = sum(math.log1p(math.exp(200.0 * gap)) for gap in gaps) / 5
    assert math.isclose(loss.item(), expected, rel_tol=1e-3)
    assert accuracy.item() == 1.0


def test_vectors_that_became_one_are_pushed_apart() -> None:
    vectors = on_circle([10, 10.5, 11, 11.5]).requires_grad_()
    loss, _ = weighted_triplet_loss(vectors, torch.tensor([0, 0, 1, 1]), scale=12.0)
    loss.backward()
    assert vectors.grad is not None
    assert float(vectors.grad.norm()) > 0.1


def test_identical_images_have_a_finite_gradient() -> None:
    vectors = on_circle([10, 10, 80, 80]).requires_grad_()
    loss, _ = weighted_triplet_loss(vectors, torch.tensor([0, 0, 1, 1]), scale=12.0)
    loss.backward()
    assert vectors.grad is not None
    assert bool(torch.isfinite(vectors.grad).all())


def test_pooling_is_the_mean_direction() -> None:
    features = torch.zeros(1, 2, 2, 1)
    features[0, 0, 0] = 3.0
    features[0, 1, 1] = 4.0
    torch.testing.assert_close(pool(features), torch.tensor([[0.6, 0.8]]))
