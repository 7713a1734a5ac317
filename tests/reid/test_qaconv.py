"""QAConv against the golden vectors, and the properties of its head."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from streamreid.errors import WeightsError
from streamreid.reid.qaconv import QAConv, fold, pooled_maxima
from tests.golden_data import golden_state, load_golden

LAYERS = ("qaconv_layer_24x8", "qaconv_layer_nonsquare")


def golden_layer(name: str, tag: str, version: str) -> tuple[dict[str, Any], QAConv]:
    arrays = load_golden(name)
    _, channels, height, width = arrays["query"].shape
    layer = QAConv(channels, height, width, version=version)
    layer.load_reference_state(golden_state(arrays, tag))
    return arrays, layer.eval()


def tensors(arrays: dict[str, Any], *names: str) -> list[Tensor]:
    return [torch.from_numpy(arrays[name]) for name in names]


def random_layer(version: str, seed: int, height: int = 5, width: int = 3) -> QAConv:
    """A layer whose every parameter differs from its default."""
    generator = torch.Generator().manual_seed(seed)
    layer = QAConv(8, height, width, version=version).eval()
    state = {
        name: torch.rand(value.shape, generator=generator) * 0.5 + 0.25
        for name, value in layer.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    state["fc.weight"] = torch.randn(layer.fc.weight.shape, generator=generator)
    layer.load_reference_state(state)
    return layer


def random_maps(count: int, seed: int, height: int = 5, width: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 8, height, width, generator=generator), dim=1)


@pytest.mark.parametrize("name", LAYERS)
def test_pooled_maxima_equal_golden(name: str) -> None:
    arrays = load_golden(name)
    query, gallery = tensors(arrays, "query", "gallery")
    per_query, per_gallery = pooled_maxima(query, gallery)
    np.testing.assert_allclose(per_query, arrays["pooled_query_loc"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(per_gallery, arrays["pooled_gallery_loc"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("tag", "version"), [("v21_", "2.1"), ("v12_", "1.2")])
def test_scores_equal_golden_in_both_directions(name: str, tag: str, version: str) -> None:
    arrays, layer = golden_layer(name, tag, version)
    query, gallery = tensors(arrays, "query", "gallery")
    with torch.no_grad():
        score, swapped = layer(query, gallery), layer(gallery, query)
    np.testing.assert_allclose(score, arrays[f"{tag}score"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(swapped, arrays[f"{tag}score_swapped"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_scores_equal_golden_in_float64_half_and_as_probability(name: str) -> None:
    arrays, layer = golden_layer(name, "v21_", "2.1")
    query, gallery = tensors(arrays, "query", "gallery")
    with torch.no_grad():
        score = layer(query, gallery)
        double = layer.double()(query.double(), gallery.double())
        half = layer.half()(query.half(), gallery.half()).float()
    np.testing.assert_allclose(double, arrays["v21_score_f64"], atol=1e-10, rtol=0)
    np.testing.assert_allclose(half, arrays["v21_score_half"], atol=2e-2, rtol=0)
    np.testing.assert_allclose(
        torch.sigmoid(score / 10), arrays["v21_prob_sigmoid10"], atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("name", LAYERS)
def test_version_1_0_probability_equals_golden(name: str) -> None:
    arrays, layer = golden_layer(name, "v10_", "1.0")
    with torch.no_grad():
        logit = layer(*tensors(arrays, "query", "gallery"))
    np.testing.assert_allclose(torch.sigmoid(logit / 10), arrays["v10_prob"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("tag", "version"), [("v21_", "2.1"), ("v12_", "1.2"), ("v10_", "1.0")])
def test_folded_head_equals_layer_on_golden(name: str, tag: str, version: str) -> None:
    arrays, layer = golden_layer(name, tag, version)
    query, gallery = tensors(arrays, "query", "gallery")
    with torch.no_grad():
        torch.testing.assert_close(
            fold(layer).apply(*pooled_maxima(query, gallery)),
            layer(query, gallery),
            atol=1e-5,
            rtol=0,
        )


@pytest.mark.parametrize("version", ["2.1", "1.2", "1.0"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_folded_head_equals_layer(version: str, seed: int) -> None:
    layer = random_layer(version, seed).double()
    query, gallery = random_maps(3, seed + 1).double(), random_maps(4, seed + 2).double()
    with torch.no_grad():
        expected = layer(query, gallery)
    found = fold(layer).apply(*pooled_maxima(query, gallery))
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_version_2_1_is_symmetric(seed: int) -> None:
    layer = random_layer("2.1", seed)
    query, gallery = random_maps(3, seed + 1), random_maps(3, seed + 2)
    with torch.no_grad():
        torch.testing.assert_close(
            layer(query, gallery), layer(gallery, query).T, atol=5e-6, rtol=1e-6
        )
    assert fold(layer).symmetric
    assert not fold(random_layer("1.2", seed)).symmetric


@pytest.mark.parametrize("version", ["2.1", "1.2"])
def test_scores_follow_a_permutation_and_ignore_the_batch(version: str) -> None:
    layer = random_layer(version, 3)
    query, gallery = random_maps(5, 4), random_maps(6, 5)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    with torch.no_grad():
        score = layer(query, gallery)
        torch.testing.assert_close(layer(query, gallery[order]), score[:, order])
        one_by_one = torch.cat([layer(query[i : i + 1], gallery) for i in range(5)])
    torch.testing.assert_close(one_by_one, score)


def test_joint_permutation_of_locations_and_weights_changes_nothing() -> None:
    layer = random_layer("2.1", 7)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(1))
    query, gallery = random_maps(3, 8), random_maps(4, 9)
    with torch.no_grad():
        expected = layer(query, gallery)
        layer.fc.weight.copy_(layer.fc.weight[:, order])
        shuffled = [m.flatten(2)[..., order].view_as(m) for m in (query, gallery)]
        torch.testing.assert_close(layer(*shuffled), expected)


def test_score_stays_inside_its_known_interval() -> None:
    layer = random_layer("2.1", 11)
    head = fold(layer)
    with torch.no_grad():
        spread = (layer(random_maps(9, 1), random_maps(9, 2)) - head.offset).abs()
    assert bool((spread <= 2 * head.query_weight.abs().sum()).all())
    assert float(spread.max()) + head.offset <= head.highest_score
    patch = torch.zeros(1, 8, 5, 3)
    patch[:, 0] = 1.0
    alike = QAConv(8, 5, 3).eval()  # positive weights: an image with itself reaches the bound
    found = fold(alike).apply(*pooled_maxima(patch, patch))
    assert float(found.detach()) == pytest.approx(fold(alike).highest_score, abs=1e-5)


def test_initial_weights_follow_the_versions() -> None:
    new, old = QAConv(4, 3, 2), QAConv(4, 3, 2, version="1.2")
    assert new.fc.weight.shape == (1, 6)
    torch.testing.assert_close(new.fc.weight.detach(), torch.full((1, 6), 1 / 6))
    assert old.fc.weight.shape == (1, 12)
    assert float(old.fc.weight.detach().std()) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.weight": torch.zeros(1, 30)}, r"'fc.weight' has shape \(1, 30\).*15 locations"),
        ({"bn.weight": torch.zeros(2)}, r"'bn.weight' has shape \(2,\), expected \(1,\)"),
        ({"bn.bias": None}, "lack 'bn.bias'"),
        ({"matcher.bn.bias": torch.zeros(1)}, "unknown tensors"),
        ({"fc.bias": torch.tensor([float("nan")])}, "'fc.bias' has values that are not finite"),
    ],
)
def test_wrong_reference_state_is_named(change: dict[str, Any], message: str) -> None:
    state: dict[str, Any] = dict(random_layer("2.1", 0).state_dict()) | change
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(WeightsError, match=message):
        QAConv(8, 5, 3).load_reference_state(state)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"version '3'; use one of"):
        QAConv(8, 5, 3, version="3")
    with pytest.raises(ValueError, match="must be positive"):
        QAConv(8, 0, 3)
    with pytest.raises(ValueError, match=r"gallery must be \[N, 8, 5, 3\], got \[2, 8, 3, 5\]"):
        QAConv(8, 5, 3)(torch.zeros(1, 8, 5, 3), torch.zeros(2, 8, 3, 5))
