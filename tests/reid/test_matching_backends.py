"""One contract for every matching back-end: the plain layer's numbers, within a stated bound."""

import importlib.util
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from streamreid.reid.matching import (
    FeatureMaps,
    _scores,
    backends,
    match_maxima,
    match_scores,
)
from streamreid.reid.matching_blocks import HALF, choose_block_kernel, fast_on_this_cpu
from streamreid.reid.qaconv import QAConv, fold, pooled_maxima

CPU = torch.device("cpu")
SIZES = [(24, 8, 128), (16, 8, 64), (5, 3, 8), (7, 1, 10), (1, 1, 3)]
# The fused kernel takes multiples of 16 locations. 24x8 and 16x8 are the image sizes in use; the
# others have odd tiles, more or fewer than one slab.
FUSED_SIZES = [(24, 8, 128), (16, 8, 64), (8, 6, 48), (8, 2, 16), (7, 16, 192)]


@dataclass(frozen=True)
class Backend:
    """A back-end and how it is used.

    Attributes:
        name: As `match_scores` takes it.
        stored: Dtype of the gallery that it is given.
        bound: Largest error of one correlation of unit vectors: bf16 keeps 8 bits of the product,
            int8 a 1/127 of the largest value of each side (0.6 here), float8 3 bits of each value;
            the others sum in float32.
        device: Where it runs.
        sizes: Height, width and channels of the maps that it is tried on.
    """

    name: str
    stored: torch.dtype
    bound: float
    device: str = "cpu"
    sizes: tuple[tuple[int, int, int], ...] = tuple(SIZES)

    def __str__(self) -> str:
        return f"{self.name}-{str(self.stored).removeprefix('torch.')}-{self.device}"

    def skip_where_missing(self) -> None:
        """Skip on a machine that cannot have it."""
        if self.name == "triton":
            if importlib.util.find_spec("triton") is None:
                pytest.skip("Triton is not installed")
        elif self.name not in backends(self.device):
            pytest.skip(f"this torch has no {self.name} product")

    def pack(self, maps: Tensor) -> FeatureMaps:
        """Maps as the gallery stores them for this back-end, on its device."""
        return FeatureMaps.pack(maps.to(self.device), dtype=self.stored)


ON_A_CPU = [
    Backend("torch", torch.float32, 1e-6),
    Backend("onednn", torch.float32, 1e-6),
    Backend("bf16", torch.bfloat16, 0.012),
    Backend("int8", torch.int8, 0.02),
]
# On a machine without a GPU tests/conftest.py asks for Triton's interpreter.
FUSED_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FUSED = [
    Backend("triton", dtype, bound, FUSED_DEVICE, tuple(FUSED_SIZES))
    for dtype, bound in (
        (torch.float16, 1e-3),
        (torch.bfloat16, 0.012),
        (torch.int8, 0.02),
        (torch.float8_e4m3fn, 0.08),
    )
]
ON_A_GPU = [
    Backend("torch", torch.float32, 1e-6, "cuda"),
    Backend("half", torch.float16, 0.004, "cuda"),
]
EVERY = [
    *ON_A_CPU,
    *FUSED,
    *(pytest.param(backend, marks=pytest.mark.gpu) for backend in ON_A_GPU),
]


EVERY_SIZE = [
    pytest.param(
        backend,
        size,
        marks=[pytest.mark.gpu] if backend in ON_A_GPU else [],
        id=f"{backend}-{size}",
    )
    for backend in [*ON_A_CPU, *FUSED, *ON_A_GPU]
    for size in backend.sizes
]


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


class TestContract:
    """What every back-end owes, on a CPU, in Triton's interpreter and on a GPU."""

    @pytest.mark.parametrize(("backend", "size"), EVERY_SIZE)
    @pytest.mark.parametrize("version", ["2.1", "1.2"])
    def test_scores_equal_the_layer(
        self, backend: Backend, size: tuple[int, int, int], version: str
    ) -> None:
        backend.skip_where_missing()
        layer = layer_of(size, version)
        query, gallery = unit_maps(2, 1, size), unit_maps(7, 2, size)
        with torch.no_grad():
            expected = layer(query, gallery)
        query, stored = query.to(backend.device), backend.pack(gallery)
        found = match_scores(query, stored, fold(layer), backend=backend.name)
        assert found.shape == (2, 7)
        assert found.dtype == torch.float32
        # The weights sum to one in absolute value, so a score errs by no more than a correlation
        # does (twice for 2.1, where both directions use all of them).
        assert float((found.cpu() - expected).abs().max()) <= 2 * backend.bound + 1e-5

    @pytest.mark.parametrize(("backend", "size"), EVERY_SIZE)
    def test_maxima_equal_the_readable_way(
        self, backend: Backend, size: tuple[int, int, int]
    ) -> None:
        backend.skip_where_missing()
        query, gallery = unit_maps(2, 3, size), -unit_maps(5, 4, size)
        found = match_maxima(query.to(backend.device), backend.pack(gallery), backend=backend.name)
        for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
            assert values.shape == expected.shape
            assert float((values.cpu() - expected).abs().max()) <= backend.bound

    @pytest.mark.parametrize("backend", EVERY, ids=str)
    @pytest.mark.parametrize("sign", [-1.0, 1.0])
    def test_negative_maxima_are_exact(self, backend: Backend, sign: float) -> None:
        """Comparing the bits as integers would order negative floats backwards."""
        backend.skip_where_missing()
        size = (8, 2, 16)
        query = functional.normalize(unit_maps(1, 6, size).abs() + 0.5, dim=1)
        gallery = sign * functional.normalize(unit_maps(4, 7, size).abs() + 0.5, dim=1)
        gallery = torch.cat((gallery, unit_maps(3, 8, size)))
        found = match_maxima(query.to(backend.device), backend.pack(gallery), backend=backend.name)
        for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
            assert float((values.cpu() - expected).abs().max()) <= backend.bound
            assert bool((torch.sign(values[0, :4]) == sign).all())

    @pytest.mark.parametrize("backend", EVERY, ids=str)
    @pytest.mark.parametrize(
        "dtype",
        [torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.float8_e4m3fn],
        ids=str,
    )
    def test_every_storage_dtype_can_be_scored(self, backend: Backend, dtype: torch.dtype) -> None:
        backend.skip_where_missing()
        size = (8, 2, 32)
        layer = layer_of(size)
        query, gallery = unit_maps(2, 1, size), unit_maps(6, 2, size)
        stored = FeatureMaps.pack(gallery.to(backend.device), dtype=dtype)
        found = match_scores(query.to(backend.device), stored, fold(layer), backend=backend.name)
        with torch.no_grad():
            bound = 0.15 if dtype == torch.float8_e4m3fn else 0.06
            assert float((found.cpu() - layer(query, gallery)).abs().max()) <= bound

    @pytest.mark.parametrize("backend", EVERY, ids=str)
    def test_maps_against_themselves_are_scored_alike_both_ways(self, backend: Backend) -> None:
        backend.skip_where_missing()
        size = (4, 4, 16)
        maps = backend.pack(unit_maps(10, 9, size))
        copy = replace(maps, data=maps.data.clone())
        head = fold(layer_of(size))
        once = match_scores(maps, maps, head, backend=backend.name)
        assert torch.equal(once, once.T)
        torch.testing.assert_close(once, match_scores(maps, copy, head, backend=backend.name))

    @pytest.mark.parametrize("backend", EVERY, ids=str)
    def test_asymmetric_head_is_not_mirrored(self, backend: Backend) -> None:
        backend.skip_where_missing()
        size = (8, 2, 16)
        maps = backend.pack(unit_maps(8, 9, size))
        layer = layer_of(size, "1.2")
        with torch.no_grad():
            expected = layer(maps.unpack().cpu(), maps.unpack().cpu())
        found = match_scores(maps, maps, fold(layer), backend=backend.name)
        assert float((found.cpu() - expected).abs().max()) <= 2 * backend.bound + 1e-5

    @pytest.mark.parametrize("backend", EVERY, ids=str)
    @pytest.mark.parametrize(("queries", "items"), [(0, 3), (3, 0), (0, 0)])
    def test_empty_sides_are_answered(self, backend: Backend, queries: int, items: int) -> None:
        backend.skip_where_missing()
        size = (8, 2, 16)
        query, gallery = (backend.pack(unit_maps(count, 1, size)) for count in (queries, items))
        scores = match_scores(query, gallery, fold(layer_of(size)), backend=backend.name)
        assert scores.shape == (queries, items)
        for values in match_maxima(query, gallery, backend=backend.name):
            assert values.shape == (queries, items, 16)

    @pytest.mark.parametrize("backend", EVERY, ids=str)
    def test_a_score_does_not_depend_on_its_neighbours(self, backend: Backend) -> None:
        backend.skip_where_missing()
        size = (6, 8, 32)
        query, gallery = backend.pack(unit_maps(1, 1, size)), backend.pack(unit_maps(70, 2, size))
        head = fold(layer_of(size))
        together = match_scores(query, gallery, head, backend=backend.name)[0]
        apart = [
            match_scores(query, gallery.select(slice(i, i + 1)), head, backend=backend.name)[0, 0]
            for i in range(0, 70, 9)
        ]
        torch.testing.assert_close(together[::9], torch.stack(apart), atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("backend", ON_A_CPU, ids=str)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    queries=st.integers(0, 3),
    items=st.integers(0, 30),
    height=st.integers(1, 6),
    width=st.integers(1, 5),
    channels=st.integers(1, 20),
)
def test_blocks_take_any_shape(
    backend: Backend, seed: int, queries: int, items: int, height: int, width: int, channels: int
) -> None:
    backend.skip_where_missing()
    size = (height, width, channels)
    query, gallery = unit_maps(queries, seed, size), unit_maps(items, seed + 1, size)
    found = match_maxima(query, backend.pack(gallery), backend=backend.name)
    for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
        assert values.shape == (queries, items, height * width)
        if queries and items:
            assert float((values - expected).abs().max()) <= backend.bound


@pytest.mark.parametrize("version", ["2.1", "1.2"])
def test_half_blocks_for_a_gpu_without_triton_agree(version: str) -> None:
    """On a CPU, where `match_scores` does not offer them; with a GPU the contract has them too."""
    size = (4, 2, 8)
    layer = layer_of(size, version)
    query, gallery = unit_maps(2, 3, size), unit_maps(5, 4, size)
    with torch.no_grad():
        expected = layer(query, gallery)
    queries, items = (FeatureMaps.pack(maps, torch.float16) for maps in (query, gallery))
    found = _scores(HALF, queries, items, fold(layer), once=False)
    assert float((found - expected).abs().max()) <= 2 * 0.004
    maxima = HALF.maxima(queries.select(slice(0, 1)), items)
    for values, best in zip(maxima, pooled_maxima(query[:1], gallery), strict=True):
        assert float((values - best[0]).abs().max()) <= 0.004


def test_scoring_maps_against_themselves_multiplies_each_pair_once() -> None:
    size = (4, 4, 8)
    multiplied = 0

    def counting(rows: Tensor, query: Tensor, out: Tensor) -> Tensor:
        nonlocal multiplied
        multiplied += len(rows) // 16
        return torch.mm(rows, query.T, out=out)

    kernel = replace(choose_block_kernel(torch.float32, CPU), name="counting", product=counting)
    # without negative maxima, which are multiplied a second time
    maps, head = FeatureMaps.pack(unit_maps(300, 9, size).abs()), fold(layer_of(size))
    once = _scores(kernel, maps, maps, head, once=True)
    assert multiplied == 300 * 301 // 2
    torch.testing.assert_close(once, _scores(kernel, maps, maps, head, once=False))
    assert multiplied == 300 * 301 // 2 + 300 * 300


# Triton's package is hidden before anything looks for it.
_WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None
import torch
from torch.nn import functional
from streamreid.reid.matching import FeatureMaps, backend_for, match_scores
from streamreid.reid.qaconv import QAConv, fold
maps = functional.normalize(torch.randn(3, 16, 8, 2), dim=1)
layer = QAConv(16, 8, 2).eval()
stored = FeatureMaps.pack(maps, torch.float16)
print(backend_for(stored.data))
print(float((match_scores(maps, stored, fold(layer)) - layer(maps, maps)).abs().max()) < 0.01)
try:
    match_scores(maps, stored, fold(layer), backend="triton")
except ValueError as error:
    print(error)
"""


def test_without_triton_the_blocks_take_over() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TRITON],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    chosen, agrees, refused = done.stdout.strip().splitlines()
    assert chosen in backends()
    assert agrees == "True"
    assert "unknown matching back-end 'triton'; use 'auto' or, on cpu, one of" in refused


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
