"""The Triton back-end: which shapes it takes, how it is launched and tuned.

Where Triton is missing or a shape does not suit it, `streamreid.reid.matching` uses the blocks of
`matching_blocks` on the GPU instead.
"""

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from streamreid.reid.feature_maps import FeatureMaps
from streamreid.reid.qaconv import FoldedHead

# Column maxima of 16,384 pairs of 24x8 maps are 38 MB: the scratch memory of a call.
_SCRATCH_VALUES = 16_384 * 3 * 192
_MAX_LOCATIONS = 256
_RESIDENT_CHANNELS = 128


@dataclass(frozen=True, slots=True)
class Launch:
    """How the slab kernel is cut.

    Attributes:
        slab: Gallery rows per step.
        steps: Slabs per program; the query stays in shared memory over all of them.
        warps: Warps per program.
        stages: Depth of the load pipeline.
    """

    slab: int
    steps: int
    warps: int
    stages: int


LAUNCHES = tuple(
    Launch(slab, steps, warps, stages)
    for slab, steps, warps, stages in (
        (128, 3, 8, 2),
        (128, 6, 8, 3),
        (128, 12, 8, 3),
        (64, 3, 4, 2),
        (64, 6, 4, 3),
        (64, 12, 4, 4),
        (128, 1, 8, 4),
        (64, 1, 4, 4),
    )
)


@dataclass(frozen=True, slots=True)
class TritonKernel:
    """Scores and maxima by the fused kernel.

    Attributes:
        map_dtype: float16, bfloat16, int8 or float8_e4m3fn.
        launch: How it is cut; None tunes on the first call per shape.
        name: Name of the back-end.
    """

    map_dtype: torch.dtype
    launch: Launch | None = None
    name: str = "triton"

    def maxima(self, query: FeatureMaps, items: FeatureMaps) -> tuple[Tensor, Tensor]:
        """For each query location and each gallery location, both `[G, n]`, float32."""
        count, locations = len(items), items.data.shape[1]
        group = _group(locations)
        if count == 0:
            none = torch.empty(0, locations, device=items.data.device)
            return none, none
        ones = torch.ones(locations, device=items.data.device)
        scratch = self._slabs(query, items, ones, keep_rows=True)
        of_query = scratch.column_max.view(count, locations // group, locations).amax(dim=1)
        of_gallery = scratch.row_max.view(count, locations)
        scale = (_scales(query) * _scales(items))[:, None]
        return of_query * scale, of_gallery * scale

    def scores(self, queries: FeatureMaps, items: FeatureMaps, head: FoldedHead) -> Tensor:
        """Logits `[Q, G]`; scratch memory is bounded whatever Q and G are."""
        result = torch.empty(len(queries), len(items), device=items.data.device)
        locations = items.data.shape[1]
        per_pair = locations * (locations // _group(locations))
        many = max(1, _SCRATCH_VALUES // per_pair)
        rows = max(1, min(len(queries), many // max(1, min(len(items), many))))
        columns = max(1, many // rows)
        for row in range(0, len(queries), rows):
            some = queries.select(slice(row, row + rows))
            for column in range(0, len(items), columns):
                part = items.select(slice(column, column + columns))
                result[row : row + rows, column : column + columns] = self._joined(some, part, head)
        return result

    def _joined(self, queries: FeatureMaps, items: FeatureMaps, head: FoldedHead) -> Tensor:
        import triton

        from streamreid.reid import matching_triton as kernels

        constants = join_constants(items.data.shape[1])
        scratch = self._slabs(queries, items, head.gallery_weight.contiguous(), keep_rows=False)
        score = torch.empty(len(queries), len(items), device=items.data.device)
        grid = (triton.cdiv(len(items), constants["MAPS"]), len(queries))
        kernels.join_groups[grid](
            scratch.row_sum,
            scratch.column_max,
            head.query_weight.contiguous(),
            _scales(queries),
            _scales(items),
            score,
            len(items),
            head.offset,
            **constants,
        )
        return score

    def _slabs(
        self, queries: FeatureMaps, items: FeatureMaps, row_weight: Tensor, *, keep_rows: bool
    ) -> "_Scratch":
        locations, channels = items.data.shape[1], items.channels
        scratch = _Scratch.reserve(
            len(queries), len(items), locations, items.data.device, keep_rows
        )
        arguments = (
            queries.data.contiguous(),
            items.data.contiguous(),
            row_weight,
            scratch.row_sum,
            scratch.column_max,
            scratch.row_max,
            len(items) * locations,
        )
        shape = _Shape(locations, channels, self.map_dtype, keep_rows)
        launch = self.launch or _tuned(shape, items.data.device)
        _start(shape, launch, len(queries), arguments)
        return scratch


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a compiled kernel is specialised for."""

    locations: int
    channels: int
    dtype: torch.dtype
    keep_rows: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Scratch:
    """What the slab kernel writes."""

    row_sum: Tensor
    column_max: Tensor
    row_max: Tensor

    @classmethod
    def reserve(
        cls, queries: int, items: int, locations: int, device: torch.device, keep_rows: bool
    ) -> "_Scratch":
        groups = items * (locations // _group(locations))
        return cls(
            torch.empty(queries, groups, device=device),
            torch.empty(queries, groups, locations, device=device),
            torch.empty(queries, items * locations if keep_rows else 1, device=device),
        )


def triton_kernel(
    dtype: torch.dtype, device: torch.device, *, locations: int, channels: int
) -> TritonKernel | None:
    """The fused back-end for maps stored in `dtype`, or None where it cannot run.

    It takes float16, bfloat16 and 8-bit maps whose number of locations is a multiple of 16 and at
    most 256, and whose channels are a multiple of 16 (of 64 above 128). float8 maps are scored in
    float16 where the chip has no tensor cores for them, and bfloat16 maps in Triton's interpreter,
    which multiplies their bits as integers.
    """
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if (device.type != "cuda" and not interpreted) or not _installed():
        return None
    step = 16 if channels <= _RESIDENT_CHANNELS else 64
    if locations % 16 or locations > _MAX_LOCATIONS or channels % step:
        return None
    if interpreted:
        exact = dtype not in (torch.float32, torch.bfloat16)
        return TritonKernel(dtype if exact else torch.float16, LAUNCHES[0])
    exact = dtype != torch.float32 and (dtype != torch.float8_e4m3fn or has_float8(device))
    return TritonKernel(dtype if exact else torch.float16)


def has_float8(device: torch.device) -> bool:
    """Whether this is a GPU that multiplies float8 (capability 8.9: Ada, Hopper and later)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


@cache  # looking through the search path takes as long as matching ten maps
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def kernel_constants(locations: int, channels: int, *, keep_rows: bool) -> dict[str, Any]:
    """What the slab kernel is compiled for besides the launch and the type of its sums."""
    left, right = _tiles(locations)
    return {
        "LOCATIONS": locations,
        "CHANNELS": channels,
        "GROUP": _group(locations),
        "LEFT": left,
        "RIGHT": right,
        "DEPTH": _depth(channels),
        "KEEP_ROWS": keep_rows,
    }


def join_constants(locations: int) -> dict[str, Any]:
    """What the joining kernel is compiled for."""
    return {
        "LOCATIONS": locations,
        "GROUPS": locations // _group(locations),
        "WIDTH": 1 << (locations - 1).bit_length(),
        "MAPS": 4,
    }


def _start(shape: _Shape, launch: Launch, queries: int, arguments: tuple[Any, ...]) -> None:
    import triton

    from streamreid.reid import matching_triton as kernels

    constants = kernel_constants(shape.locations, shape.channels, keep_rows=shape.keep_rows)
    kernels.slab_maxima[(triton.cdiv(arguments[-1], launch.slab * launch.steps), queries)](
        *arguments,
        **constants,
        SUMS=triton.language.int32 if shape.dtype == torch.int8 else triton.language.float32,
        SLAB=launch.slab,
        STEPS=launch.steps,
        num_warps=launch.warps,
        num_stages=launch.stages,
    )


@cache  # as the compiled kernels are: a measurement per call would cost more than the call
def _tuned(shape: _Shape, device: torch.device) -> Launch:
    """The fastest launch for a shape, measured once per process on random maps."""
    from triton.testing import do_bench

    count = 2048
    data = torch.randn(count, shape.locations, shape.channels, device=device)
    maps = FeatureMaps.pack(
        torch.nn.functional.normalize(data, dim=2).transpose(1, 2).unsqueeze(3),
        dtype=shape.dtype,
    )
    weight = torch.ones(shape.locations, device=device)
    best: tuple[float, Launch] | None = None
    for launch in LAUNCHES:
        kernel = TritonKernel(shape.dtype, launch)
        try:
            taken = do_bench(
                lambda kernel=kernel: kernel._slabs(
                    maps.select(slice(0, 1)), maps, weight, keep_rows=shape.keep_rows
                )
            )
        except RuntimeError:  # this cut needs more shared memory or registers than the chip has
            continue
        if best is None or taken < best[0]:
            best = (taken, launch)
    if best is None:
        raise RuntimeError(f"no launch of the matching kernel fits {device} for {shape}")
    return best[1]


def _group(locations: int) -> int:
    """Rows per group: the largest power of two up to 64 that divides the locations."""
    return min(64, locations & -locations)


def _tiles(locations: int) -> tuple[int, int]:
    """Widths of the two column tiles: powers of two, as even as they get, which cover the map."""
    left = max(16, 1 << (locations.bit_length() - 1))
    if left >= locations:  # a power of two: halve it
        return max(16, left // 2), max(16, left // 2)
    return left, max(16, 1 << (locations - left - 1).bit_length())


def _depth(channels: int) -> int:
    """Channels per step: all of them while they are few, else 64."""
    return max(32, 1 << (channels - 1).bit_length()) if channels <= _RESIDENT_CHANNELS else 64


def _scales(maps: FeatureMaps) -> Tensor:
    if maps.scales is not None:
        return maps.scales
    return torch.ones(len(maps), device=maps.data.device)
