"""The matcher on a GPU: the fused kernel beside the published way and the card's matrix product."""

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from streamreid.cli.bench_matcher import (
    HEIGHT,
    LOCATIONS,
    OFFICIAL,
    WIDTH,
    official,
    pair_gflop,
    random_maps,
)
from streamreid.cli.bench_table import Table, Value
from streamreid.cli.bench_timing import Work, sync_for, take_turns
from streamreid.errors import DeviceMemoryError
from streamreid.reid.feature_maps import needs_scale
from streamreid.reid.matching import FeatureMaps, backends, match_scores
from streamreid.reid.matching_cuda import has_float8
from streamreid.reid.memory import explain_full_memory
from streamreid.reid.qaconv import FoldedHead, QAConv, fold

_SIDE = 8192
_PRODUCT = "matrix product bf16"
# The published way holds [Q, G, 192, 192]: 75 MB for 1,024 maps in half precision.
_OFFICIAL_MAPS = 1024
_PACKED_AT_ONCE = 5_000


def gpu_table(
    *,
    channels: Sequence[int] = (64, 128, 256, 512),
    galleries: Sequence[int] = (10_000, 100_000),
    queries: Sequence[int] = (1, 8),
    rounds: int = 7,
    device: str = "cuda",
    side: int = _SIDE,
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """Score queries against large galleries on a GPU.

    Args:
        channels: Channels of the maps.
        galleries: Gallery sizes.
        queries: Queries scored together.
        rounds: Rounds in which all variants take turns.
        device: A CUDA device (a CPU, where only the figures make no sense).
        side: Rows and columns of the matrix product to compare with.
        progress: Told what is being measured.
    """
    rows: list[dict[str, Value]] = []
    notes: list[str] = []
    for count, size, together in itertools.product(channels, galleries, queries):
        case = f"{count} channels, {together} queries, {size:,} maps"
        progress(case)
        try:
            with explain_full_memory(torch.device(device), f"measuring {case}"):
                rows += _case(count, size, together, rounds, torch.device(device), side)
        except DeviceMemoryError as exc:
            notes.append(f"Not measured: {exc}.")
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return Table(
        f"24x8 maps on {name}",
        rows,
        [
            f"`% of product`: against a bfloat16 product of {side}^3 in the same rounds. The "
            f"published way runs in blocks of {_OFFICIAL_MAPS} maps. Wall time with the device "
            "synchronised.",
            *notes,
        ],
    )


def _case(
    channels: int, size: int, together: int, rounds: int, device: torch.device, side: int
) -> list[dict[str, Value]]:
    head = fold(QAConv(channels, HEIGHT, WIDTH).eval()).to(device=device, dtype=torch.float32)
    query = random_maps(together, channels, seed=1, device=str(device))
    variants: dict[str, Work] = {}
    single = random_maps(size, channels, seed=2, device=str(device))
    half = single.half()
    variants[OFFICIAL] = partial(_blocked, query, single, head)
    variants["official einsum fp16"] = partial(
        _blocked, query.half(), half, head.to(dtype=torch.float16)
    )
    eight_bits = [torch.int8, *([torch.float8_e4m3fn] if has_float8(device) else [])]
    for dtype in (torch.float16, torch.bfloat16, *eight_bits):
        packed = FeatureMaps.pack(query, dtype), _packed(single, dtype)
        short = str(dtype).removeprefix("torch.")
        variants[f"auto {short}"] = partial(match_scores, *packed, head)
        if dtype == torch.float16 and "half" in backends(device):
            variants["blocks without Triton, fp16"] = partial(
                match_scores, *packed, head, backend="half"
            )
    square = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    variants[_PRODUCT] = partial(torch.mm, square, square)
    timings = take_turns(variants, rounds=rounds, clock=time.perf_counter, sync=sync_for(device))
    work = pair_gflop(channels) * size * together
    share = work / (2.0 * side**3 / 1e9) * 100
    return [
        {
            "C": channels,
            "gallery": size,
            "queries": together,
            "back-end": name,
            "million pairs/s": size * together / timing.median_s / 1e6,
            "TFLOP/s": work / timing.median_s / 1e3,
            "x official fp32": timing.times_faster_than(timings[OFFICIAL]),
            "x official fp16": timing.times_faster_than(timings["official einsum fp16"]),
            "% of product": timing.times_faster_than(timings[_PRODUCT]) * share,
            "GB/s of maps": size * LOCATIONS * channels * 2 / timing.median_s / 1e9,
        }
        for name, timing in timings.items()
        if name != _PRODUCT
    ]


def _packed(maps: Tensor, dtype: torch.dtype) -> FeatureMaps:
    """Pack piece by piece into reserved memory: a second copy of a gallery would not fit."""
    count = len(maps)
    data = torch.empty(count, LOCATIONS, maps.shape[1], dtype=dtype, device=maps.device)
    scales = torch.empty(count, device=maps.device) if needs_scale(dtype) else None
    for start in range(0, count, _PACKED_AT_ONCE):
        rows = slice(start, start + _PACKED_AT_ONCE)
        part = FeatureMaps.pack(maps[rows], dtype)
        data[rows] = part.data
        if scales is not None and part.scales is not None:
            scales[rows] = part.scales
    return FeatureMaps(data, HEIGHT, WIDTH, scales)


def _blocked(query: Tensor, gallery: Tensor, head: FoldedHead) -> Tensor:
    parts = [
        official(query, gallery[start : start + _OFFICIAL_MAPS], head)
        for start in range(0, len(gallery), _OFFICIAL_MAPS)
    ]
    return torch.cat(parts, dim=1)
