"""The matcher on a GPU: the fused kernel beside the published way and the card's matrix product."""

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
from streamreid.cli.bench_timing import Work, clock_for, take_turns
from streamreid.reid.matching import FeatureMaps, match_scores
from streamreid.reid.matching_cuda import has_float8
from streamreid.reid.qaconv import FoldedHead, QAConv, fold

_SIDE = 8192
_PRODUCT = "matrix product fp16"
# The published way holds [Q, G, 192, 192]: 75 MB for 1,024 maps in half precision.
_OFFICIAL_MAPS = 1024


def gpu_table(
    *,
    channels: Sequence[int] = (64, 128, 256, 512),
    galleries: Sequence[int] = (10_000, 100_000),
    queries: Sequence[int] = (1, 8),
    rounds: int = 7,
    device: str = "cuda",
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """Score queries against large galleries on a GPU.

    Args:
        channels: Channels of the maps.
        galleries: Gallery sizes.
        queries: Queries scored together.
        rounds: Rounds in which all variants take turns.
        device: A CUDA device.
        progress: Told what is being measured.
    """
    rows: list[dict[str, Value]] = []
    for count in channels:
        for size in galleries:
            for together in queries:
                progress(f"{count} channels, {together} queries, {size:,} maps")
                rows += _case(count, size, together, rounds, device)
    return Table(
        f"24x8 maps on {torch.cuda.get_device_name(device)}",
        rows,
        [
            f"`% of product`: against a float16 product of {_SIDE}^3 in the same rounds. The "
            f"published way runs in blocks of {_OFFICIAL_MAPS} maps. Wall time with the device "
            "synchronised."
        ],
    )


def _case(
    channels: int, size: int, together: int, rounds: int, device: str
) -> list[dict[str, Value]]:
    head = fold(QAConv(channels, HEIGHT, WIDTH).eval()).to(device=device, dtype=torch.float32)
    query = random_maps(together, channels, seed=1, device=device)
    variants: dict[str, Work] = {}
    single = random_maps(size, channels, seed=2, device=device)
    half = single.half()
    variants[OFFICIAL] = partial(_blocked, query, single, head)
    variants["official einsum fp16"] = partial(
        _blocked, query.half(), half, head.to(dtype=torch.float16)
    )
    eight_bits = [torch.int8, *([torch.float8_e4m3fn] if has_float8(torch.device(device)) else [])]
    for dtype in (torch.float16, torch.bfloat16, *eight_bits):
        packed = FeatureMaps.pack(query, dtype), _packed(single, dtype)
        short = str(dtype).removeprefix("torch.")
        variants[f"auto {short}"] = partial(match_scores, *packed, head)
    variants["blocks without Triton, fp16"] = partial(
        match_scores,
        FeatureMaps.pack(query, torch.float16),
        _packed(single, torch.float16),
        head,
        backend="half",
    )
    square = torch.randn(_SIDE, _SIDE, device=device, dtype=torch.float16)
    variants[_PRODUCT] = partial(torch.mm, square, square)
    timings = take_turns(
        variants, rounds=rounds, clock=clock_for(2), sync=partial(torch.cuda.synchronize, device)
    )
    work = pair_gflop(channels) * size * together
    share = work / (2.0 * _SIDE**3 / 1e9) * 100
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
    """Pack piece by piece: the temporary copies of a whole gallery would not fit."""
    parts = [FeatureMaps.pack(part, dtype) for part in torch.split(maps, 5_000)]
    scales = [part.scales for part in parts if part.scales is not None]
    return FeatureMaps(
        torch.cat([part.data for part in parts]),
        HEIGHT,
        WIDTH,
        torch.cat(scales) if scales else None,
    )


def _blocked(query: Tensor, gallery: Tensor, head: FoldedHead) -> Tensor:
    parts = [
        official(query, gallery[start : start + _OFFICIAL_MAPS], head)
        for start in range(0, len(gallery), _OFFICIAL_MAPS)
    ]
    return torch.cat(parts, dim=1)
