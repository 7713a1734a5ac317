"""The fused kernels: every cut of them, what they leave to the blocks, compiled for a GPU.

That their numbers are the layer's is in the contract of `test_matching_backends`.
"""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from streamreid.reid.matching import FeatureMaps, _mirrored, backend_for, match_scores
from streamreid.reid.matching_cuda import LAUNCHES, TritonKernel, triton_kernel
from streamreid.reid.qaconv import fold, pooled_maxima
from tests.reid.test_matching_backends import FUSED_SIZES, layer_of
from tests.reid.test_matching_backends import unit_maps as cpu_maps

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
CPU = torch.device("cpu")
# On a machine without a GPU tests/conftest.py asks for the interpreter.
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def unit_maps(count: int, seed: int, size: tuple[int, int, int]) -> Tensor:
    return cpu_maps(count, seed, size).to(DEVICE)


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
        assert float((values - expected[0]).abs().max()) <= 1e-3


@pytest.mark.parametrize("chunk", [1, 4, 10])
def test_mirrored_scores_are_those_of_all_pairs(chunk: int) -> None:
    size = (4, 4, 16)
    maps = FeatureMaps.pack(unit_maps(10, 9, size), torch.float16)
    head = fold(layer_of(size)).to(device=DEVICE, dtype=torch.float32)
    kernel = TritonKernel(torch.float16, LAUNCHES[0])
    found = _mirrored(kernel, maps, head, chunk)
    torch.testing.assert_close(found, kernel.scores(maps, maps, head))


@pytest.mark.parametrize("size", FUSED_SIZES[1:3], ids=str)
def test_float8_scores_equal_those_of_the_rounded_maps(size: tuple[int, int, int]) -> None:
    """The kernel itself adds nothing to the rounding of the maps."""
    head = fold(layer_of(size).to(DEVICE))
    query, gallery = (
        FeatureMaps.pack(unit_maps(count, count, size), torch.float8_e4m3fn) for count in (2, 3)
    )
    found = match_scores(query, gallery, head, backend="triton")
    expected = match_scores(query.to_float32(), gallery.to_float32(), head, backend="torch")
    assert float((found - expected).abs().max()) <= 1e-3


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


@pytest.mark.gpu
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int8, torch.float8_e4m3fn], ids=str
)
def test_a_gpu_takes_the_fused_kernel_for_packed_maps_by_itself(dtype: torch.dtype) -> None:
    size = (24, 8, 128)
    layer = layer_of(size).cuda()
    query, gallery = unit_maps(5, 1, size), unit_maps(300, 2, size)
    stored = FeatureMaps.pack(gallery, dtype)
    assert backend_for(stored.data) == "triton"
    assert backend_for(gallery.flatten(2).transpose(1, 2)) == "torch"
    with torch.no_grad():
        expected = layer(query, gallery)
    found = match_scores(query, stored, fold(layer))
    assert float((found - expected).abs().max()) <= 0.16


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("dtype", "channels"),
    [("fp16", 128), ("bf16", 128), ("i8", 128), ("fp8", 128), ("fp16", 256), ("fp16", 512)],
)
def test_kernel_compiles_for_hopper_without_spilling(dtype: str, channels: int) -> None:
    """The compiler needs no GPU; it must choose the tensor cores and not spill registers."""
    command = [sys.executable, "-m", "scripts.compile_kernels", dtype, str(channels)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stderr
    join, *lines = done.stdout.strip().splitlines()
    assert join.startswith("join_groups ")
    assert join.endswith("stack 0")
    assert len(lines) == 2 * len(LAUNCHES)  # with and without the rows' maxima
    assert all("wgmma m64n128k" in line for line in lines)
    assert all(" stack 0 " in line for line in lines if "maxima of rows" not in line)
    # Eight bytes in one of the cuts that are tried with them.
    assert sum(" stack 0 " in line for line in lines) >= len(lines) - 1
