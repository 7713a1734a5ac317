"""One contract for every matching back-end: the plain layer's numbers, within a stated bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from streamreid.reid.matching import FeatureMaps, backends, match_maxima, match_scores
from streamreid.reid.matching_blocks import HALF, choose_block_kernel, fast_on_this_cpu
from streamreid.reid.qaconv import QAConv, fold, pooled_maxima

# Largest error of one correlation of unit vectors: bf16 keeps 8 bits of the product, int8 a 1/127
# of the largest value of each side (0.6 here); "half" sums in float16.
BOUND = {"torch": 1e-6, "onednn": 1e-6, "bf16": 0.012, "int8": 0.02, "half": 0.004}
CPU = torch.device("cpu")
SIZES = [(24, 8, 128), (16, 8, 64), (5, 3, 8), (7, 1, 10), (1, 1, 3)]


@pytest.fixture(scope="module", params=["torch", "onednn", "bf16", "int8"])
def backend(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in backends():
        pytest.skip(f"this torch has no {name} product")
    return name


def unit_maps(count: int, seed: int, size: tuple[int, int, int]) -> Tensor:
    height, width, channels = size
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(
        torch.randn(count, channels, height, width, generator=generator), dim=1
    )


def layer_of(size: tuple[int, int, int], version: str = "2.1") -> QAConv:
    height, width, channels = size
    layer = QAConv(channels, height, width, version=version).eval()
    weight = torch.randn(layer.fc.weight.shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        layer.fc.weight.copy_(weight / weight.abs().sum())
    return layer


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("version", ["2.1", "1.2"])
def test_scores_equal_the_layer(backend: str, size: tuple[int, int, int], version: str) -> None:
    layer = layer_of(size, version)
    query, gallery = unit_maps(3, 1, size), unit_maps(20, 2, size)
    with torch.no_grad():
        expected = layer(query, gallery)
    found = match_scores(query, gallery, fold(layer), backend=backend)
    # The weights sum to one in absolute value, so a score errs by no more than a correlation does
    # (twice for 2.1, where both directions use all of them).
    assert float((found - expected).abs().max()) <= 2 * BOUND[backend] + 1e-5


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_maxima_equal_the_readable_way(backend: str, size: tuple[int, int, int]) -> None:
    query, gallery = unit_maps(2, 3, size), unit_maps(9, 4, size)
    found = match_maxima(query, gallery, backend=backend)
    for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
        assert float((values - expected).abs().max()) <= BOUND[backend]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    queries=st.integers(0, 3),
    items=st.integers(0, 30),
    height=st.integers(1, 6),
    width=st.integers(1, 5),
    channels=st.integers(1, 20),
)
def test_any_shape_works(
    backend: str, seed: int, queries: int, items: int, height: int, width: int, channels: int
) -> None:
    size = (height, width, channels)
    query, gallery = unit_maps(queries, seed, size), unit_maps(items, seed + 1, size)
    found = match_maxima(query, gallery, backend=backend)
    for values, expected in zip(found, pooled_maxima(query, gallery), strict=False):
        assert values.shape == (queries, items, height * width)
        if queries and items:
            assert float((values - expected).abs().max()) <= BOUND[backend]


def test_half_blocks_for_a_gpu_without_triton_agree() -> None:
    size = (4, 2, 8)
    query, gallery = unit_maps(1, 3, size), unit_maps(5, 4, size)
    found = HALF.maxima(
        FeatureMaps.pack(query, torch.float16), FeatureMaps.pack(gallery, torch.float16)
    )
    for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
        assert float((values - expected[0]).abs().max()) <= BOUND["half"]


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_negative_maxima_are_exact(backend: str, sign: float) -> None:
    """Comparing the bits as integers would order negative floats backwards."""
    size = (3, 2, 16)
    query = functional.normalize(unit_maps(1, 6, size).abs() + 0.5, dim=1)
    gallery = sign * functional.normalize(unit_maps(4, 7, size).abs() + 0.5, dim=1)
    gallery = torch.cat((gallery, unit_maps(3, 8, size)))
    found = match_maxima(query, gallery, backend=backend)
    for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
        assert float((values - expected).abs().max()) <= BOUND[backend]
        assert bool((torch.sign(values[0, :4]) == sign).all())


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.float8_e4m3fn],
    ids=str,
)
def test_every_storage_dtype_can_be_scored(backend: str, dtype: torch.dtype) -> None:
    size = (5, 3, 32)
    layer = layer_of(size)
    query, gallery = unit_maps(2, 1, size), unit_maps(6, 2, size)
    stored = FeatureMaps.pack(gallery, dtype=dtype)
    found = match_scores(query, stored, fold(layer), backend=backend)
    with torch.no_grad():
        bound = 0.15 if dtype == torch.float8_e4m3fn else 0.06
        assert float((found - layer(query, gallery)).abs().max()) <= bound


def test_scoring_maps_against_themselves_computes_each_pair_once(backend: str) -> None:
    size = (5, 3, 16)
    maps = FeatureMaps.pack(unit_maps(300, 9, size))
    copy = FeatureMaps(maps.data.clone(), maps.height, maps.width)
    head = fold(layer_of(size))
    once = match_scores(maps, maps, head, backend=backend)
    assert torch.equal(once, once.T)
    torch.testing.assert_close(once, match_scores(maps, copy, head, backend=backend))


def test_asymmetric_head_is_not_mirrored() -> None:
    size = (5, 3, 16)
    maps = FeatureMaps.pack(unit_maps(8, 9, size))
    layer = layer_of(size, "1.2")
    with torch.no_grad():
        expected = layer(maps.unpack(), maps.unpack())
    torch.testing.assert_close(match_scores(maps, maps, fold(layer)), expected)


@pytest.mark.parametrize(
    "broken", [torch.full((1, 8, 5, 3), 0.5), torch.full((1, 8, 5, 3), float("nan"))]
)
def test_maps_that_are_not_normalised_are_refused(broken: Tensor) -> None:
    head = fold(layer_of((5, 3, 8)))
    with pytest.raises(ValueError, match="15 of 15 locations are not of unit norm"):
        match_scores(unit_maps(1, 0, (5, 3, 8)), broken, head)


def test_zero_locations_correlate_with_nothing() -> None:
    size = (5, 3, 8)
    gallery = unit_maps(2, 0, size)
    gallery[:, :, 2, 1] = 0.0
    of_query, of_gallery = match_maxima(unit_maps(1, 1, size), gallery, backend="torch")
    assert bool((of_gallery[0, :, 2 * 3 + 1] == 0.0).all())
    assert bool(torch.isfinite(of_query).all())


def test_maps_on_two_devices_are_refused() -> None:
    maps = FeatureMaps.pack(unit_maps(1, 0, (5, 3, 8)))
    elsewhere = FeatureMaps(maps.data.to("meta"), 5, 3)
    with pytest.raises(ValueError, match="query maps are on cpu, gallery maps on meta"):
        match_scores(maps, elsewhere, fold(layer_of((5, 3, 8))))


def test_plain_maps_are_scored_exactly_and_packed_ones_as_stored() -> None:
    assert choose_block_kernel(torch.float32, CPU).map_dtype == torch.float32
    for name, dtype in (("bf16", torch.bfloat16), ("int8", torch.int8)):
        chosen = choose_block_kernel(dtype, CPU)
        if name in backends() and fast_on_this_cpu(name):
            assert chosen.name == name


def test_results_do_not_depend_on_the_block(backend: str) -> None:
    size = (12, 4, 32)
    query, gallery = unit_maps(1, 1, size), FeatureMaps.pack(unit_maps(70, 2, size))
    head = fold(layer_of(size))
    together = match_scores(query, gallery, head, backend=backend)[0]
    apart = [
        match_scores(query, gallery.select(slice(i, i + 1)), head, backend=backend)[0, 0]
        for i in range(len(gallery))
    ]
    torch.testing.assert_close(together, torch.stack(apart), atol=2e-6, rtol=1e-6)
