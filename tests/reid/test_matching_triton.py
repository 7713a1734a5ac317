"""The fused kernels under Triton's interpreter against the readable way, and compiled for a GPU."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from streamreid.reid.matching import FeatureMaps, match_maxima, match_scores
from streamreid.reid.matching_cuda import LAUNCHES, TritonKernel, triton_kernel
from streamreid.reid.qaconv import fold, pooled_maxima
from tests.reid.test_matching_backends import layer_of
from tests.reid.test_matching_backends import unit_maps as cpu_maps

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
CPU = torch.device("cpu")
# On a machine without a GPU tests/conftest.py asks for the interpreter.
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BOUND = {torch.float16: 1e-3, torch.int8: 0.02, torch.float8_e4m3fn: 0.08}
# 24x8 and 16x8 are the image sizes in use; the others have odd tiles, more or fewer than one slab.
SIZES = [(24, 8, 128), (16, 8, 64), (8, 6, 48), (8, 2, 16), (7, 16, 192)]


def unit_maps(count: int, seed: int, size: tuple[int, int, int]) -> Tensor:
    return cpu_maps(count, seed, size).to(DEVICE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.int8], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("version", ["2.1", "1.2"])
def test_scores_equal_the_layer(
    size: tuple[int, int, int], dtype: torch.dtype, version: str
) -> None:
    layer = layer_of(size, version).to(DEVICE)
    query, gallery = unit_maps(2, 1, size), unit_maps(3, 2, size)
    with torch.no_grad():
        expected = layer(query, gallery)
    found = match_scores(query, FeatureMaps.pack(gallery, dtype), fold(layer), backend="triton")
    assert float((found - expected).abs().max()) <= 2 * BOUND[dtype]


@pytest.mark.parametrize("dtype", list(BOUND), ids=str)
@pytest.mark.parametrize("size", SIZES[2:], ids=str)
def test_maxima_equal_the_readable_way(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    query, gallery = unit_maps(2, 3, size), -unit_maps(5, 4, size)
    found = match_maxima(query, FeatureMaps.pack(gallery, dtype), backend="triton")
    for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
        assert values.shape == expected.shape
        assert float((values - expected).abs().max()) <= BOUND[dtype]


@pytest.mark.parametrize("launch", sorted({(cut.slab, cut.steps) for cut in LAUNCHES}), ids=str)
def test_every_cut_gives_the_same_maxima(launch: tuple[int, int]) -> None:
    size = (6, 8, 32)
    cut = next(cut for cut in LAUNCHES if (cut.slab, cut.steps) == launch)
    query, gallery = unit_maps(1, 3, size), unit_maps(11, 4, size)
    kernel = TritonKernel(torch.float16, cut)
    found = kernel.maxima(
        FeatureMaps.pack(query, torch.float16), FeatureMaps.pack(gallery, torch.float16)
    )
    for values, expected in zip(found, pooled_maxima(query, gallery), strict=True):
        assert float((values - expected[0]).abs().max()) <= BOUND[torch.float16]


@pytest.mark.parametrize("size", SIZES[1:3], ids=str)
def test_float8_scores_equal_those_of_the_rounded_maps(size: tuple[int, int, int]) -> None:
    """The kernel itself adds nothing to the rounding of the maps."""
    head = fold(layer_of(size).to(DEVICE))
    query, gallery = (
        FeatureMaps.pack(unit_maps(count, count, size), torch.float8_e4m3fn) for count in (2, 3)
    )
    found = match_scores(query, gallery, head, backend="triton")
    expected = match_scores(query.to_float32(), gallery.to_float32(), head, backend="torch")
    assert float((found - expected).abs().max()) <= 1e-3


def test_empty_sides_are_answered() -> None:
    size = (8, 2, 16)
    head = fold(layer_of(size))
    for queries, items in ((0, 3), (3, 0), (0, 0)):
        found = match_scores(
            unit_maps(queries, 1, size), unit_maps(items, 2, size), head, backend="triton"
        )
        assert found.shape == (queries, items)


@pytest.mark.parametrize(
    ("locations", "channels"), [(15, 16), (272, 16), (192, 100), (192, 160)], ids=str
)
def test_shapes_that_do_not_suit_are_left_to_the_blocks(locations: int, channels: int) -> None:
    kernel = triton_kernel(torch.float16, DEVICE, locations=locations, channels=channels)
    assert kernel is None


def test_without_a_gpu_or_interpreter_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert triton_kernel(torch.float16, CPU, locations=192, channels=128) is None
    with pytest.raises(ValueError, match="unknown matching back-end 'triton'"):
        match_scores(
            cpu_maps(1, 1, (8, 2, 16)),
            cpu_maps(1, 2, (8, 2, 16)),
            fold(layer_of((8, 2, 16))),
            backend="triton",
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "channels"), [("fp16", 128), ("i8", 128), ("fp8", 128), ("fp16", 256)]
)
def test_kernel_compiles_for_hopper_without_spilling(dtype: str, channels: int) -> None:
    """The compiler needs no GPU; it must choose the tensor cores and not spill registers."""
    command = [sys.executable, "-m", "scripts.compile_kernels", dtype, str(channels)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == len(LAUNCHES)
    assert all("wgmma" in line for line in lines)
    assert any("stack 0" in line for line in lines)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int8, torch.float8_e4m3fn], ids=str
)
def test_kernel_on_a_gpu_equals_the_layer(dtype: torch.dtype) -> None:
    size = (24, 8, 128)
    layer = layer_of(size).cuda()
    query, gallery = unit_maps(5, 1, size).cuda(), unit_maps(300, 2, size).cuda()
    with torch.no_grad():
        expected = layer(query, gallery)
    found = match_scores(query, FeatureMaps.pack(gallery, dtype), fold(layer))
    bound = 0.02 if dtype == torch.bfloat16 else 2 * BOUND[dtype]
    assert float((found - expected).abs().max()) <= bound
