"""Back-ends that score blocks of feature maps while the correlation tile stays in the cache.

One block of gallery maps against one query map is one matrix product whose result `[b, n, n]` is
reduced to its row and column maxima at once. The three fast products are oneDNN's, reached through
torch: plain float32 products go to MKL, which uses less than half of an AMD processor. Two of the
three have private names in torch, so each is probed before use and has a fallback. The same blocks
in float16 serve a GPU that has no Triton.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import torch
from torch import Tensor

from streamreid.reid.feature_maps import FeatureMaps

BlockProduct = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(rows [M, C], query [n, C], out [M, n]) -> [M, n]`, values in the kernel's product dtype."""


@dataclass(frozen=True, slots=True)
class BlockKernel:
    """One way to multiply a block and find its maxima.

    Attributes:
        name: Name of the back-end.
        map_dtype: Dtype in which it wants the maps.
        product_dtype: Dtype of the correlation tile.
        order_dtype: Dtype in which the tile's bits are compared; an integer view of the same width
            is compared several times faster and orders non-negative floats alike.
        block_bytes: Largest tile. Each product costs a fixed 15 to 20 us beside its arithmetic, so
            a CPU wants tiles larger than a core's own cache that still fit into the shared one
            several times (measured by size in docs/results/matcher.md).
        product: The matrix product.
    """

    name: str
    map_dtype: torch.dtype
    product_dtype: torch.dtype
    order_dtype: torch.dtype
    block_bytes: int
    product: BlockProduct

    def maxima(self, query: FeatureMaps, items: FeatureMaps) -> tuple[Tensor, Tensor]:
        """Best correlation of each location with any of the other map.

        Args:
            query: One map in `map_dtype`.
            items: Maps `[G]` in `map_dtype`, contiguous.

        Returns:
            For each query location and for each gallery location, both `[G, n]`, float32.
        """
        values = self._best(query, items).float()
        if query.scales is not None and items.scales is not None:
            values *= (query.scales * items.scales)[:, None, None]
        return values[:, 0], values[:, 1]

    def weighted_sums(self, query: FeatureMaps, items: FeatureMaps, weight: Tensor) -> Tensor:
        """Weighted sum of both sides' maxima, which is the score without its offset.

        Args:
            query: One map in `map_dtype`.
            items: Maps `[G]` in `map_dtype`, contiguous.
            weight: Weights of the query's locations, then of the gallery map's, shape `[2 * n]`.

        Returns:
            Shape `[G]`, float32.
        """
        sums = self._best(query, items).flatten(1).float() @ weight
        if query.scales is not None and items.scales is not None:
            sums *= query.scales * items.scales
        return sums

    def _best(self, query: FeatureMaps, items: FeatureMaps) -> Tensor:
        """Maxima of the raw products: query locations, gallery locations, `[G, 2, n]`."""
        count, locations = len(items), items.data.shape[1]
        device = items.data.device
        best = torch.empty(count, 2, locations, dtype=self.order_dtype, device=device)
        if count == 0:
            return best.view(self.product_dtype)
        # Blocks of one size: a short last one would pay the price of a whole call for few maps.
        most = max(1, self.block_bytes // (locations * locations * self.product_dtype.itemsize))
        block = math.ceil(count / math.ceil(count / most))
        tile = torch.empty(block * locations, locations, dtype=self.product_dtype, device=device)
        rows, columns = items.data.reshape(-1, items.channels), query.data[0]
        for start in range(0, count, block):
            stop = min(start + block, count)
            part = rows[start * locations : stop * locations]
            product = self.product(part, columns, tile[: len(part)])
            seen = product.view(self.order_dtype).view(-1, locations, locations)
            torch.amax(seen, 1, out=best[start:stop, 0])
            torch.amax(seen, 2, out=best[start:stop, 1])
        if self.order_dtype != self.product_dtype and int(best.amin()) < 0:
            self._repair(query, items, best)
        return best.view(self.product_dtype)

    def _repair(self, query: FeatureMaps, items: FeatureMaps, best: Tensor) -> None:
        """Redo by floats the maps where a maximum is negative: negative floats order backwards."""
        wrong = best.flatten(1).amin(dim=1) < 0
        for index in wrong.nonzero().flatten().tolist():
            rows = items.data[index]
            tile = rows.new_empty((len(rows), len(rows)), dtype=self.product_dtype)
            product = self.product(rows, query.data[0], tile)
            best[index, 0] = product.amax(dim=0).view(self.order_dtype)
            best[index, 1] = product.amax(dim=1).view(self.order_dtype)


@cache  # the answer belongs to the installed torch; asking costs a third of a small call
def block_kernels(device: torch.device) -> Mapping[str, BlockKernel]:
    """Every block back-end that this torch can run on a device, by name.

    "torch" (float32) is always there. On a CPU "onednn" (float32), "bf16" and "int8" are there when
    their product works; whether they are fast is for `fast_on_this_cpu` or a measurement to say.
    """
    others = (_ONEDNN, _BF16, _INT8) if device.type == "cpu" else (HALF,)
    found = [_PLAIN, *(kernel for kernel in others if _works(kernel, device))]
    return MappingProxyType({kernel.name: kernel for kernel in found})


def fast_on_this_cpu(name: str) -> bool:
    """Whether the processor has the instructions that make a back-end fast."""
    wanted = {"bf16": ("avx512_bf16", "amx_tile"), "int8": ("vnni", "amx_tile")}
    return name not in wanted or any(_has(feature) for feature in wanted[name])


def choose_block_kernel(dtype: torch.dtype, device: torch.device) -> BlockKernel:
    """The block back-end for maps stored in `dtype`, without measuring anything.

    float32 maps are scored in float32, so that plain maps give the layer's own numbers. Maps stored
    in fewer bits are scored as they are where the processor can, else in float32.
    """
    usable = block_kernels(device)
    if device.type != "cpu":
        return usable["torch" if dtype == torch.float32 else "half"]
    preferred = {
        torch.int8: ("int8", "bf16"),
        torch.bfloat16: ("bf16",),
        torch.float8_e4m3fn: ("bf16",),
    }.get(dtype, ())
    for name in (*preferred, "onednn"):
        if name in usable and fast_on_this_cpu(name):
            return usable[name]
    return usable["torch"]


def _has(feature: str) -> bool:
    """Ask torch for a processor feature; its questions are private and differ by release."""
    question = getattr(torch.cpu, f"_is_{feature}_supported", None) or getattr(
        torch.cpu, f"_is_avx512_{feature}_supported", None
    )
    return bool(question()) if question is not None else False


def _works(kernel: BlockKernel, device: torch.device) -> bool:
    """Try a private product on a small case instead of trusting its name."""
    rows = torch.eye(3, 4, device=device).to(kernel.map_dtype)
    out = torch.empty(3, 2, dtype=kernel.product_dtype, device=device)
    try:
        found = kernel.product(rows, rows[:2], out)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return torch.equal(found.float().cpu(), torch.eye(3, 2))


def _plain_product(rows: Tensor, query: Tensor, out: Tensor) -> Tensor:
    return torch.mm(rows, query.T, out=out)


def _onednn_product(rows: Tensor, query: Tensor, out: Tensor) -> Tensor:
    del out  # the operator has no such argument; its result is reused memory all the same
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, query, None, "none", [], "")
    return product


def _int8_product(rows: Tensor, query: Tensor, out: Tensor) -> Tensor:
    if rows.shape[1] == 1:  # torch 2.13 reads beyond the memory of a transposed single column
        return torch.mul(rows.int(), query.T.int(), out=out)
    return torch._int_mm(rows, query.T, out=out)


_MIB = 1 << 20
_TILE = 4 * _MIB
_PLAIN = BlockKernel("torch", torch.float32, torch.float32, torch.float32, _MIB, _plain_product)
_ONEDNN = BlockKernel("onednn", torch.float32, torch.float32, torch.int32, _TILE, _onednn_product)
_BF16 = BlockKernel("bf16", torch.bfloat16, torch.bfloat16, torch.int16, _TILE, _plain_product)
_INT8 = BlockKernel("int8", torch.int8, torch.int32, torch.int32, _TILE, _int8_product)
HALF = BlockKernel("half", torch.float16, torch.float16, torch.int16, 64 * _MIB, _plain_product)
