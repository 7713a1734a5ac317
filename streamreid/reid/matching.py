"""Scores packed feature maps pair by pair without ever holding the full correlation.

The numbers equal those of `streamreid.reid.qaconv.QAConv` in evaluation mode within rounding (1e-4
of a logit for float32 maps); only the order of the sums differs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from streamreid.reid.qaconv import FoldedHead

_INT8_LEVELS = 127.0
# 16 maps of 24x8 against one query are 2.4 MB of correlation: they stay in the cache of a CPU.
_BLOCK_VALUES = 16 * 192 * 192


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMaps:
    """Feature maps stored as they are matched: location-major and contiguous.

    Attributes:
        data: Unit vectors per location, shape `[N, n, C]`; float32, float16, bfloat16 or int8.
        height: Rows of each map.
        width: Columns of each map; `n = height * width`, row-major.
        scales: For int8 one factor per map, shape `[N]`, float32 (`vector = data * scale`), else
            None.
    """

    data: Tensor
    height: int
    width: int
    scales: Tensor | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 3 or self.data.shape[1] != self.height * self.width:
            raise ValueError(
                f"data must be [N, {self.height * self.width}, C], got {list(self.data.shape)}"
            )
        if (self.data.dtype == torch.int8) != (self.scales is not None):
            raise ValueError("scales go with int8 maps, and only with them")

    def __len__(self) -> int:
        return int(self.data.shape[0])

    @property
    def channels(self) -> int:
        """Length of the vector at each location."""
        return int(self.data.shape[2])

    @classmethod
    def pack(cls, maps: Tensor, dtype: torch.dtype = torch.float32) -> "FeatureMaps":
        """Reorder maps from the network and convert them.

        Args:
            maps: Feature maps with unit norm over channels, shape `[N, C, h, w]`.
            dtype: float32, float16, bfloat16 or int8 (one scale per map).

        Returns:
            The packed maps, on the device of `maps`.

        Raises:
            ValueError: If the shape is not `[N, C, h, w]` or the dtype is none of these.
        """
        if maps.ndim != 4:
            raise ValueError(f"maps must be [N, C, h, w], got {list(maps.shape)}")
        height, width = int(maps.shape[2]), int(maps.shape[3])
        data = maps.detach().flatten(2).transpose(1, 2)
        if dtype == torch.int8:
            scales = data.float().abs().amax(dim=(1, 2)).clamp_min(1e-12) / _INT8_LEVELS
            levels = (data.float() / scales[:, None, None]).round()
            return cls(levels.to(torch.int8).contiguous(), height, width, scales)
        if dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise ValueError(f"feature maps cannot be packed as {dtype}")
        return cls(data.to(dtype).contiguous(), height, width)

    def unpack(self) -> Tensor:
        """Maps as the network gave them, shape `[N, C, h, w]`, float32."""
        data = self.to_float32().data
        return data.transpose(1, 2).reshape(len(self), self.channels, self.height, self.width)

    def to_float32(self) -> "FeatureMaps":
        """The same maps in float32, without scales; itself when it already is."""
        if self.data.dtype == torch.float32:
            return self
        data = self.data.float()
        if self.scales is not None:
            data = data * self.scales[:, None, None]
        return FeatureMaps(data, self.height, self.width)

    def select(self, indices: Tensor | slice) -> "FeatureMaps":
        """The maps at `indices` (or of a slice), in that order."""
        scales = None if self.scales is None else self.scales[indices]
        return FeatureMaps(self.data[indices], self.height, self.width, scales)


def match_scores(
    query: FeatureMaps | Tensor,
    gallery: FeatureMaps | Tensor,
    head: FoldedHead,
    *,
    backend: str = "auto",
) -> Tensor:
    """Score every query against every gallery item.

    Args:
        query: Packed maps, or plain maps `[Q, C, h, w]` with unit norm over channels.
        gallery: Packed maps, or plain maps `[G, C, h, w]` with unit norm over channels.
        head: The folded head of the trained layer.
        backend: "auto" or "torch" (blocked float32 products).

    Returns:
        Logits, shape `[Q, G]`, float32, larger is more similar.

    Raises:
        ValueError: If shapes do not fit each other or the back-end is unknown.
    """
    if backend not in ("auto", "torch"):
        raise ValueError(f"unknown matching back-end {backend!r}; use 'auto' or 'torch'")
    queries, items = _packed(query), _packed(gallery)
    _check_pair(queries, items, head)
    return _torch_scores(queries.to_float32().data, items, head.to(dtype=torch.float32))


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


def _torch_scores(query: Tensor, gallery: FeatureMaps, head: FoldedHead) -> Tensor:
    """Blocked float32 scoring; `query` is `[Q, n, C]`, the result `[Q, G]`."""
    locations = query.shape[1]
    block = max(1, _BLOCK_VALUES // (locations * locations))
    scores = query.new_empty(len(query), len(gallery))
    for start in range(0, len(gallery), block):
        items = gallery.select(slice(start, start + block)).to_float32().data
        rows = items.reshape(-1, items.shape[2])  # [block * n, C]
        for index, query_map in enumerate(query):
            correlation = (rows @ query_map.T).view(len(items), locations, locations)
            scores[index, start : start + block] = head.apply(
                correlation.amax(dim=1), correlation.amax(dim=2)
            )
    return scores


def _packed(maps: FeatureMaps | Tensor) -> FeatureMaps:
    return maps if isinstance(maps, FeatureMaps) else FeatureMaps.pack(maps)


def _single(maps: FeatureMaps | Tensor) -> FeatureMaps:
    packed = _packed(maps if isinstance(maps, FeatureMaps) or maps.ndim == 4 else maps[None])
    if len(packed) != 1:
        raise ValueError(f"expected one feature map, got {len(packed)}")
    return packed


def _check_pair(query: FeatureMaps, gallery: FeatureMaps, head: FoldedHead) -> None:
    sizes = [
        (query.height, query.width),
        (gallery.height, gallery.width),
        (head.height, head.width),
    ]
    if len(set(sizes)) != 1:
        raise ValueError(
            f"query maps are {sizes[0]}, gallery maps {sizes[1]} and the head is for {sizes[2]} "
            "(height, width): use maps made with the same weights and image size"
        )
    if query.channels != gallery.channels:
        raise ValueError(f"query has {query.channels} channels, gallery {gallery.channels}")
