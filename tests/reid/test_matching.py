"""Fast scoring equals the layer; correspondences add up to the score."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from streamreid.reid.matching import FeatureMaps, correspondences, match_scores
from streamreid.reid.qaconv import QAConv, fold
from tests.golden_data import golden_state, load_golden
from tests.reid.test_qaconv import LAYERS, random_layer, random_maps


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("tag", "version"), [("v21_", "2.1"), ("v12_", "1.2")])
def test_scores_equal_golden(name: str, tag: str, version: str) -> None:
    arrays = load_golden(name)
    query, gallery = torch.from_numpy(arrays["query"]), torch.from_numpy(arrays["gallery"])
    channels, height, width = query.shape[1:]
    layer = QAConv(channels, height, width, version=version)
    layer.load_reference_state(golden_state(arrays, tag))
    found = match_scores(FeatureMaps.pack(query), gallery, fold(layer))
    np.testing.assert_allclose(found, arrays[f"{tag}score"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("version", ["2.1", "1.2", "1.0"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), queries=st.integers(0, 4), items=st.integers(0, 40))
def test_scores_equal_the_layer(version: str, seed: int, queries: int, items: int) -> None:
    layer = random_layer(version, seed, height=12, width=8)
    query = random_maps(queries, seed + 1, height=12, width=8)
    gallery = random_maps(items, seed + 2, height=12, width=8)
    found = match_scores(query, gallery, fold(layer))
    assert found.shape == (queries, items)
    if queries and items:
        with torch.no_grad():
            torch.testing.assert_close(found, layer(query, gallery), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [
        (torch.float32, 0.0),
        (torch.float16, 1e-3),
        (torch.bfloat16, 4e-3),
        (torch.int8, 6e-3),
        (torch.float8_e4m3fn, 0.06),
    ],
)
def test_packing_keeps_the_maps_within_the_step_of_the_dtype(
    dtype: torch.dtype, bound: float
) -> None:
    maps = random_maps(4, 1)
    packed = FeatureMaps.pack(maps, dtype=dtype)
    assert packed.data.dtype == dtype
    assert packed.data.shape == (4, 15, 8)
    assert packed.data.is_contiguous()
    assert float((packed.unpack() - maps).abs().max()) <= bound
    chosen = packed.select(torch.tensor([2, 0]))
    torch.testing.assert_close(chosen.unpack(), packed.unpack()[[2, 0]], atol=0, rtol=0)


@pytest.mark.parametrize("version", ["2.1", "1.2"])
def test_correspondences_add_up_to_the_score(version: str) -> None:
    head = fold(random_layer(version, 5))
    query, gallery = random_maps(1, 6), random_maps(1, 7)
    found = correspondences(query[0], FeatureMaps.pack(gallery), head, top=30)
    score = float(match_scores(query, gallery, head))
    assert found.score == pytest.approx(score, abs=1e-4)
    assert float(found.contribution.sum()) + found.offset == pytest.approx(score, abs=1e-4)
    sides = float(found.query_contribution.sum() + found.gallery_contribution.sum())
    assert sides + found.offset == pytest.approx(score, abs=1e-4)
    pairs = set(zip(found.query_location.tolist(), found.gallery_location.tolist(), strict=True))
    assert len(pairs) == len(found.query_location)
    assert found.contribution.tolist() == sorted(found.contribution.tolist(), reverse=True)


def test_correspondences_find_the_moved_patch() -> None:
    query = torch.zeros(8, 5, 3)
    query[0] = 1.0
    gallery = torch.zeros(8, 5, 3)
    gallery[1] = 1.0
    query[:, 1, 2] = gallery[:, 4, 0] = torch.eye(8)[2]
    found = correspondences(query, gallery, fold(QAConv(8, 5, 3).eval()), top=1)
    assert (int(found.query_location), int(found.gallery_location)) == (1 * 3 + 2, 4 * 3 + 0)
    assert float(found.correlation) == 1.0


def test_wrong_inputs_are_named() -> None:
    head = fold(random_layer("2.1", 0))
    turned = random_maps(1, 0, height=3, width=5)
    with pytest.raises(ValueError, match=r"query maps are \(3, 5\) and gallery maps \(5, 3\)"):
        match_scores(turned, random_maps(1, 0), head)
    with pytest.raises(ValueError, match=r"maps are \(3, 5\) and the head is for \(5, 3\)"):
        match_scores(turned, turned, head)
    narrow = functional.normalize(random_maps(1, 0)[:, :4], dim=1)
    with pytest.raises(ValueError, match="query has 4 channels, gallery 8"):
        match_scores(narrow, random_maps(1, 0), head)
    with pytest.raises(ValueError, match="back-end 'gpu9'"):
        match_scores(random_maps(1, 0), random_maps(1, 0), head, backend="gpu9")
    with pytest.raises(ValueError, match="expected one feature map, got 2"):
        correspondences(random_maps(2, 0), random_maps(1, 0), head)
    with pytest.raises(ValueError, match=r"cannot be packed as torch\.int32"):
        FeatureMaps.pack(random_maps(1, 0), dtype=torch.int32)
    with pytest.raises(ValueError, match=r"cannot be stored as torch\.float64"):
        match_scores(FeatureMaps(torch.zeros(1, 15, 8).double(), 5, 3), random_maps(1, 0), head)
    with pytest.raises(ValueError, match=r"data must be \[N, 15, C\], got \[1, 8, 15\]"):
        FeatureMaps(torch.zeros(1, 8, 15), 5, 3)
    with pytest.raises(ValueError, match=r"maps must be \[N, C, h, w\]"):
        match_scores(random_maps(1, 0)[0], random_maps(1, 0), head)
    with pytest.raises(ValueError, match="scales go with int8"):
        FeatureMaps(torch.zeros(1, 15, 8, dtype=torch.int8), 5, 3)
    with pytest.raises(ValueError, match=r"scales must be one per map, \[1\], got \[15\]"):
        FeatureMaps(torch.zeros(1, 15, 8, dtype=torch.int8), 5, 3, torch.ones(15))


def test_wrong_types_are_named() -> None:
    head = fold(random_layer("2.1", 0))
    with pytest.raises(TypeError, match="must be a torch tensor or FeatureMaps, got ndarray"):
        match_scores(random_maps(1, 0), random_maps(1, 0).numpy(), head)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"in floating point, got \[1, 8, 5, 3\] torch\.uint8"):
        match_scores(torch.ones(1, 8, 5, 3, dtype=torch.uint8), random_maps(1, 0), head)
