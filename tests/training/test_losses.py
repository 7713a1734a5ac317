"""Losses against the golden vectors: values, gradients and running statistics."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from streamreid.reid.qaconv import QAConv
from streamreid.training.losses import ClassMemory, pairwise_matching_loss, triplet_loss
from tests.golden_data import golden_state, load_golden


def golden_batch(arrays: dict[str, Any]) -> tuple[Tensor, Tensor]:
    features = torch.from_numpy(arrays["features"]).requires_grad_()
    return features, torch.from_numpy(arrays["targets"])


def golden_matcher(arrays: dict[str, Any], prefix: str, version: str) -> QAConv:
    _, channels, height, width = arrays["features"].shape
    matcher = QAConv(channels, height, width, version=version).train()
    matcher.load_reference_state(golden_state(arrays, prefix))
    return matcher


def assert_gradients(
    arrays: dict[str, Any], prefix: str, features: Tensor, matcher: QAConv, infix: str = ""
) -> None:
    assert features.grad is not None
    np.testing.assert_allclose(
        features.grad, arrays[f"{prefix}grad_features"], atol=1e-5, rtol=1e-4
    )
    for name, parameter in matcher.named_parameters():
        assert parameter.grad is not None
        expected = arrays[f"{prefix}grad_{infix}{name.replace('.', '_')}"]
        np.testing.assert_allclose(parameter.grad, expected, atol=1e-5, rtol=1e-4, err_msg=name)


def assert_statistics(arrays: dict[str, Any], prefix: str, matcher: QAConv) -> None:
    for name, value in matcher.named_buffers():
        expected = arrays[f"{prefix}{name.replace('.', '_')}"]
        np.testing.assert_allclose(value, np.reshape(expected, value.shape), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "name", ["triplet_m16", "triplet_m1", "triplet_m16_24x8", "pairwise_matching"]
)
def test_pair_losses_equal_golden(name: str) -> None:
    arrays = load_golden(name)
    features, targets = golden_batch(arrays)
    matcher = golden_matcher(arrays, "init_", "2.1")
    score = matcher(features, features)
    if "margin" in arrays:
        loss, correct = triplet_loss(score, targets, margin=float(arrays["margin"]))
    else:
        loss, correct = pairwise_matching_loss(score, targets)
    loss.mean().backward()
    np.testing.assert_allclose(score.detach(), arrays["train_score"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(loss.detach(), arrays["loss_per_sample"], atol=1e-5, rtol=0)
    assert float(loss.detach().mean()) == pytest.approx(float(arrays["loss_mean"]), abs=1e-5)
    np.testing.assert_array_equal(correct, arrays["acc"])
    assert_gradients(arrays, "", features, matcher)
    assert_statistics(arrays, "after_", matcher)


@pytest.mark.parametrize(
    ("tag", "version", "chunk", "mask_unseen", "infix"),
    [
        ("v10_", "1.0", None, False, ""),
        ("v11_", "1.0", None, True, ""),
        ("v12_chunk4_", "1.2", 4, True, "matcher_"),
        ("v12_full_", "1.2", None, True, "matcher_"),
        ("head_full_", "2.1", None, True, "matcher_"),
    ],
)
def test_class_memory_equals_golden(
    tag: str, version: str, chunk: int | None, mask_unseen: bool, infix: str
) -> None:
    arrays = load_golden("class_memory")
    features, targets = golden_batch(arrays)
    matcher = golden_matcher(arrays, f"{tag}init_{infix}", version)
    initial = torch.from_numpy(arrays[f"{tag}init_class_memory"])
    memory = ClassMemory(matcher, len(initial), mask_unseen=mask_unseen, chunk=chunk)
    memory.class_memory.copy_(initial)
    if mask_unseen:
        memory.valid_class.copy_(torch.from_numpy(arrays[f"{tag}init_valid_class"]))
    loss, correct = memory(features, targets)
    loss.mean().backward()
    expected = arrays[f"{tag}loss_per_sample"]
    np.testing.assert_allclose(loss.detach(), expected, atol=1e-5, rtol=0)
    assert float(loss.detach().mean()) == pytest.approx(float(arrays[f"{tag}loss_mean"]), abs=1e-5)
    np.testing.assert_array_equal(correct, arrays[f"{tag}acc"])
    assert_gradients(arrays, tag, features, matcher, infix)
    assert_statistics(arrays, f"{tag}after_{infix}", matcher)
    np.testing.assert_array_equal(memory.class_memory, arrays[f"{tag}after_class_memory"])
    if mask_unseen:
        np.testing.assert_array_equal(memory.valid_class, arrays[f"{tag}after_valid_class"])


def test_memory_keeps_the_last_sample_of_a_class() -> None:
    features = functional.normalize(torch.rand(3, 2, 2, 2), dim=1)
    memory = ClassMemory(QAConv(2, 2, 2), 4)
    loss, _ = memory(features, torch.tensor([1, 3, 1]))
    assert loss.detach().tolist() == [0.0, 0.0, 0.0]  # nothing was valid yet
    torch.testing.assert_close(memory.class_memory[1], features[2])
    torch.testing.assert_close(memory.class_memory[3], features[1])
    assert memory.valid_class.tolist() == [0, 1, 0, 1]


def test_triplet_of_samples_without_positives_is_free_and_finite() -> None:
    score = torch.tensor([[5.0, 1.0], [1.0, 5.0]])
    loss, correct = triplet_loss(score, torch.tensor([0, 1]), margin=16.0)
    assert loss.tolist() == [0.0, 0.0]
    assert correct.tolist() == [1.0, 1.0]


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"score must be \[B, B\]"):
        triplet_loss(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="must be positive"):
        ClassMemory(QAConv(2, 2, 2), 0)
