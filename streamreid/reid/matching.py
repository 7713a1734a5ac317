"""Scores packed feature maps pair by pair without ever holding the full correlation.

The numbers equal those of `streamreid.reid.qaconv.QAConv` in evaluation mode: within 1e-4 of a
logit for float32 maps, within the rounding of the storage dtype otherwise (bounds in
docs/results/matcher.md).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from streamreid.reid.feature_maps import FeatureMaps
from streamreid.reid.matching_blocks import BlockKernel, block_kernels, choose_block_kernel
from streamreid.reid.matching_cuda import TritonKernel, triton_kernel
from streamreid.reid.memory import explain_full_memory
from streamreid.reid.qaconv import FoldedHead

__all__ = [
    "Correspondences",
    "FeatureMaps",
    "backend_for",
    "backends",
    "correspondences",
    "match_maxima",
    "match_scores",
]

# Gallery maps converted and scored at a time: 6 MB of 24x8x128 int8, which every query re-reads.
_CHUNK = 256


def backends(device: torch.device | str = "cpu") -> tuple[str, ...]:
    """Names that `match_scores` accepts on a device, besides "auto" and, with Triton, "triton"."""
    return tuple(block_kernels(torch.device(device)))


def backend_for(data: Tensor, backend: str = "auto") -> str:
    """Name of the back-end that scores gallery maps `[N, n, C]` of this dtype and device.

    Raises:
        ValueError: If the back-end is unknown.
    """
    return _kernel(backend, data).name


def match_scores(
    query: FeatureMaps | Tensor,
    gallery: FeatureMaps | Tensor,
    head: FoldedHead,
    *,
    backend: str = "auto",
) -> Tensor:
    """Score every query against every gallery item.

    When both sides are the same object and the head is symmetric, each pair is computed once.

    Args:
        query: Packed maps, or plain maps `[Q, C, h, w]` with unit norm over channels.
        gallery: Packed maps, or plain maps `[G, C, h, w]` with unit norm over channels.
        head: The folded head of the trained layer.
        backend: "auto" (by the gallery's storage dtype and the processor) or one of `backends`.

    Returns:
        Logits, shape `[Q, G]`, float32, on the device of the maps; larger is more similar.

    Raises:
        TypeError: If maps are neither a tensor nor packed.
        ValueError: If shapes or devices do not fit each other, plain maps are not of unit norm, or
            the back-end is unknown.
        DeviceMemoryError: If the device has no room for the scores and the scratch memory.
    """
    queries, items = _packed(query), _packed(gallery)
    _check_pair(queries, items, head)
    kernel = _kernel(backend, items.data)
    with explain_full_memory(items.data.device, f"scoring {len(queries)} x {len(items)} maps"):
        return _scores(kernel, queries, items, head, once=query is gallery and head.symmetric)


def _scores(
    kernel: BlockKernel | TritonKernel,
    queries: FeatureMaps,
    items: FeatureMaps,
    head: FoldedHead,
    *,
    once: bool,
) -> Tensor:
    """All logits; with `once` queries and items are the same and each pair is computed once."""
    head = head.to(device=items.data.device, dtype=torch.float32)
    queries = queries.to_dtype(kernel.map_dtype)
    if isinstance(kernel, TritonKernel):
        items = items.to_dtype(kernel.map_dtype)
        return _mirrored(kernel, items, head) if once else kernel.scores(queries, items, head)
    weight = torch.cat((head.query_weight, head.gallery_weight))
    scores = torch.empty(len(queries), len(items), device=items.data.device)
    for start in range(0, len(items), _CHUNK):
        part = items.select(slice(start, start + _CHUNK)).to_dtype(kernel.map_dtype)
        stop = start + len(part)
        for index in range(stop if once else len(queries)):
            skipped = max(0, index - start) if once else 0
            scores[index, start + skipped : stop] = kernel.weighted_sums(
                queries.select(slice(index, index + 1)), part.select(slice(skipped, None)), weight
            )
    scores += head.offset
    return scores.triu() + scores.triu(1).T if once else scores


def _mirrored(
    kernel: TritonKernel, items: FeatureMaps, head: FoldedHead, chunk: int = _CHUNK
) -> Tensor:
    """Every pair of items once, but for the lower halves of the blocks on the diagonal."""
    scores = torch.zeros(len(items), len(items), device=items.data.device)
    for start in range(0, len(items), chunk):
        rows = slice(start, start + chunk)
        later = items.select(slice(start, None))
        scores[rows, start:] = kernel.scores(items.select(rows), later, head)
    return scores.triu() + scores.triu(1).T


def match_maxima(
    query: FeatureMaps | Tensor,
    gallery: FeatureMaps | Tensor,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Best correlation of each location, for scores that combine several crops before the head.

    Args:
        query: Packed maps, or plain maps `[Q, C, h, w]` with unit norm over channels.
        gallery: Packed maps, or plain maps `[G, C, h, w]` with unit norm over channels.
        backend: As for `match_scores`.

    Returns:
        For each query location and for each gallery location, both `[Q, G, n]`, float32.

    Raises:
        TypeError: If maps are neither a tensor nor packed.
        ValueError: If shapes or devices do not fit each other, plain maps are not of unit norm, or
            the back-end is unknown.
        DeviceMemoryError: If the device has no room for the maxima and the scratch memory.
    """
    queries, items = _packed(query), _packed(gallery)
    _check_maps(queries, items)
    kernel = _kernel(backend, items.data)
    with explain_full_memory(items.data.device, f"matching {len(queries)} x {len(items)} maps"):
        queries, items = queries.to_dtype(kernel.map_dtype), items.to_dtype(kernel.map_dtype)
        shape = (len(queries), len(items), items.data.shape[1])
        of_query, of_gallery = (torch.empty(shape, device=items.data.device) for _ in range(2))
        for index in range(len(queries)):
            single = queries.select(slice(index, index + 1))
            of_query[index], of_gallery[index] = kernel.maxima(single, items)
    return of_query, of_gallery


@dataclass(frozen=True, slots=True, eq=False)
class Correspondences:
    """Why two feature maps match: pairs of places, and what each place adds to the score.

    A pair of places that is best in both directions counts once, with both contributions. Summed
    over all pairs, and also over `query_contribution` and `gallery_contribution` together,
    contributions plus `offset` give `score`.

    Attributes:
        query_location: Location in the query of each pair, row-major index, shape `[top]`, int64.
        gallery_location: Location in the gallery map of each pair, shape `[top]`, int64.
        correlation: Correlation of the two places in [-1, 1], shape `[top]`.
        contribution: Part of the score (logit) due to the pair, shape `[top]`, largest first.
        query_contribution: Part of the score due to each query location, shape `[n]`.
        gallery_contribution: Part of the score due to each gallery location, shape `[n]`.
        offset: Score of a pair without any correlation.
        score: The logit of the pair.
        height: Rows of the maps.
        width: Columns of the maps.
    """

    query_location: Tensor
    gallery_location: Tensor
    correlation: Tensor
    contribution: Tensor
    query_contribution: Tensor
    gallery_contribution: Tensor
    offset: float
    score: float
    height: int
    width: int


def correspondences(
    query_map: FeatureMaps | Tensor,
    gallery_map: FeatureMaps | Tensor,
    head: FoldedHead,
    top: int = 20,
) -> Correspondences:
    """Explain the score of one pair (the correspondence figures of arXiv 1904.10424).

    Args:
        query_map: One map, `[C, h, w]` or packed with length 1.
        gallery_map: One map, `[C, h, w]` or packed with length 1.
        head: The folded head of the trained layer.
        top: Number of pairs of places to return, at least 1; fewer come back if there are fewer.

    Returns:
        The strongest pairs by contribution, and the contribution of every location.

    Raises:
        ValueError: If shapes do not fit each other, or more than one map is given.
    """
    query, gallery = _single(query_map), _single(gallery_map)
    _check_pair(query, gallery, head)
    head = head.to(dtype=torch.float32)
    correlation = query.to_float32().data[0] @ gallery.to_float32().data[0].T
    query_best, partner_of_query = correlation.max(dim=1)
    gallery_best, partner_of_gallery = correlation.max(dim=0)
    from_query = head.query_weight * query_best
    from_gallery = head.gallery_weight * gallery_best
    locations = len(from_query)
    here = torch.arange(locations, device=correlation.device)
    pairs, position = torch.unique(
        torch.cat((here * locations + partner_of_query, partner_of_gallery * locations + here)),
        return_inverse=True,
    )
    total = torch.zeros(len(pairs), device=correlation.device)
    total.index_add_(0, position, torch.cat((from_query, from_gallery)))
    order = torch.argsort(total, descending=True, stable=True)[: max(top, 1)]
    places = pairs[order]
    return Correspondences(
        query_location=places // locations,
        gallery_location=places % locations,
        correlation=correlation.flatten()[places],
        contribution=total[order],
        query_contribution=from_query,
        gallery_contribution=from_gallery,
        offset=head.offset,
        score=float(from_query.sum() + from_gallery.sum()) + head.offset,
        height=query.height,
        width=query.width,
    )


def _packed(maps: FeatureMaps | Tensor) -> FeatureMaps:
    if isinstance(maps, FeatureMaps):
        return maps
    if not isinstance(maps, Tensor):
        raise TypeError(f"maps must be a torch tensor or FeatureMaps, got {type(maps).__name__}")
    return FeatureMaps.pack(maps)


def _single(maps: FeatureMaps | Tensor) -> FeatureMaps:
    packed = _packed(maps if isinstance(maps, FeatureMaps) or maps.ndim == 4 else maps[None])
    if len(packed) != 1:
        raise ValueError(f"expected one feature map, got {len(packed)}")
    return packed


def _kernel(backend: str, gallery: Tensor) -> BlockKernel | TritonKernel:
    device, dtype = gallery.device, gallery.dtype
    fused = triton_kernel(dtype, device, locations=gallery.shape[1], channels=gallery.shape[2])
    if backend == "auto":
        # Plain float32 maps get the layer's own numbers; the fused kernel works in fewer bits.
        if fused is not None and device.type == "cuda" and dtype != torch.float32:
            return fused
        return choose_block_kernel(dtype, device)
    if fused is not None and backend == fused.name:
        return fused
    usable = block_kernels(device)
    if backend not in usable:
        names = [*usable, *([fused.name] if fused is not None else [])]
        raise ValueError(
            f"unknown matching back-end {backend!r}; use 'auto' or, on {device}, one of {names}"
        )
    return usable[backend]


def _check_pair(query: FeatureMaps, gallery: FeatureMaps, head: FoldedHead) -> None:
    if (gallery.height, gallery.width) != (head.height, head.width):
        raise ValueError(
            f"gallery maps are {(gallery.height, gallery.width)} and the head is for "
            f"{(head.height, head.width)} (height, width): use maps made with the same weights and "
            "image size"
        )
    _check_maps(query, gallery)


def _check_maps(query: FeatureMaps, gallery: FeatureMaps) -> None:
    if (query.height, query.width) != (gallery.height, gallery.width):
        raise ValueError(
            f"query maps are {(query.height, query.width)} and gallery maps "
            f"{(gallery.height, gallery.width)} (height, width): use maps made with the same "
            "weights and image size"
        )
    if query.channels != gallery.channels:
        raise ValueError(f"query has {query.channels} channels, gallery {gallery.channels}")
    if query.data.device != gallery.data.device:
        raise ValueError(
            f"query maps are on {query.data.device}, gallery maps on {gallery.data.device}: move "
            "them to one device"
        )
