"""The baseline's loss: right hardest partners, right value."""

import math

import torch

from streamreid.training.embedding_trainer import batch_hard_loss, pool


def on_circle(degrees: list[float]) -> torch.Tensor:
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


def test_loss_takes_the_furthest_true_and_the_nearest_false_partner() -> None:
    vectors = on_circle([0, 20, 50, 70])
    identity = torch.tensor([0, 0, 1, 1])
    loss, accuracy = batch_hard_loss(vectors, identity, margin=0.3)
    gaps = [chord(20) - chord(nearest) for nearest in (50, 30, 30, 50)]
    expected = sum(max(0.0, gap + 0.3) for gap in gaps) / 4
    assert math.isclose(loss.item(), expected, rel_tol=1e-5)
    assert accuracy.item() == 1.0


def test_identical_images_have_a_finite_gradient() -> None:
    vectors = on_circle([10, 10, 80, 80]).requires_grad_()
    loss, _ = batch_hard_loss(vectors, torch.tensor([0, 0, 1, 1]), margin=2.0)
    loss.backward()
    assert vectors.grad is not None
    assert bool(torch.isfinite(vectors.grad).all())


def test_pooling_is_the_mean_direction() -> None:
    features = torch.zeros(1, 2, 2, 1)
    features[0, 0, 0] = 3.0
    features[0, 1, 1] = 4.0
    torch.testing.assert_close(pool(features), torch.tensor([[0.6, 0.8]]))
