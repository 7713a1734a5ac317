"""The coarse stage: pooled strip vectors and exact inner-product search by one matrix product."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from streamreid.gallery.index import SlotIndex
from streamreid.types import Float32Array, Int64Array

BoolArray = npt.NDArray[np.bool_]

STRIPS = 4
"""Loses less than 1 or 6 strips on test identities (docs/results/matcher.md)."""

# Rows of a product: large ones run at full speed, the smallest bounds what is filled up.
_BLOCK_ROWS = (65_536, 4096, 512)


def pooled_vectors(maps: Tensor, strips: int = STRIPS) -> Tensor:
    """Mean of each horizontal strip, concatenated and normalised.

    Args:
        maps: Feature maps with unit norm over channels, shape `[N, C, h, w]`.
        strips: Number of strips; as many as there are rows if there are fewer rows.

    Returns:
        Unit vectors, shape `[N, min(strips, h) * C]`, float32.

    Source: qaconv_tlift design section 11.6; strips as in Sun et al., PCB, ECCV 2018.
    """
    if maps.ndim != 4:
        raise ValueError(f"maps must be [N, C, h, w], got {list(maps.shape)}")
    rows = min(strips, maps.shape[2])
    strip = functional.adaptive_avg_pool2d(maps.float(), (rows, 1))  # [N, C, rows, 1]
    return functional.normalize(strip.flatten(1), dim=1)


def similarities(vectors: Tensor, query: Tensor) -> Float32Array:
    """Best inner product of each gallery vector with any query vector.

    Args:
        vectors: Gallery vectors, shape `[N, D]`.
        query: Query vectors, shape `[m, D]`, at least one; converted to the gallery's dtype.

    Returns:
        Shape `[N]`, float32.
    """
    columns = query.to(vectors).T.contiguous()
    best = torch.cat([(part @ columns).amax(dim=1) for part in _blocks(vectors)])
    found: Float32Array = best[: len(vectors)].float().cpu().numpy()
    return found


def _blocks(vectors: Tensor) -> list[Tensor]:
    """Split rows into blocks of few different sizes; the last one is filled up with zeros.

    For every new shape of a product the CPU library makes a kernel and keeps it: 0.3 MB for each
    size that a growing gallery ever had, up to a thousand of them.
    """
    blocks: list[Tensor] = []
    start = 0
    for size in _BLOCK_ROWS:
        while len(vectors) - start >= size:
            blocks.append(vectors[start : start + size])
            start += size
    if start < len(vectors):
        rest = vectors.new_zeros(_BLOCK_ROWS[-1], vectors.shape[1])
        rest[: len(vectors) - start] = vectors[start:]
        blocks.append(rest)
    return blocks or [vectors]


def best_k(similarity: Float32Array, entry_id: Int64Array, k: int) -> Int64Array:
    """Positions of the `k` largest similarities, best first, ties by smaller entry id.

    Args:
        similarity: One value per row, `-inf` for rows that must not appear, shape `(N,)`.
        entry_id: Entry id per row, shape `(N,)`; decides ties, so that the order of rows does not.
        k: How many at most, at least 0.

    Returns:
        Positions, shape `(min(k, allowed rows),)`, int64.
    """
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    if k == 0:
        return np.zeros(0, np.int64)
    if k < len(similarity):
        # topk on the tensor view of the array: several times faster than a full partition.
        kth = float(torch.from_numpy(similarity).topk(k).values[-1])
        chosen = np.flatnonzero(similarity >= kth)
    else:
        chosen = np.arange(len(similarity))
    chosen = chosen[similarity[chosen] > -np.inf]
    order = np.lexsort((entry_id[chosen], -similarity[chosen]))
    return chosen[order][:k]


@dataclass(frozen=True, slots=True, eq=False)
class SearchResult:
    """What the coarse stage found.

    Attributes:
        rows: Row numbers, best first, shape `(K,)`.
        similarity: Their similarity, shape `(K,)`, float32.
        coarse: Similarity of every row in the gallery's precision, `-inf` where not allowed; None
            where an index looked at a part of the rows only.
    """

    rows: Int64Array
    similarity: Float32Array
    coarse: Float32Array | None


def search(
    vectors: Tensor,
    query: Tensor,
    k: int,
    *,
    allowed: BoolArray,
    entry_id: Int64Array,
    index: SlotIndex | None = None,
) -> SearchResult:
    """Find the `k` rows with the largest inner product with any query vector.

    One matrix product in the gallery's dtype ranks all rows, or an index names the best ones; the
    best 2k + 64 are then compared in float32, since fewer bits leave ties among the best.

    Args:
        vectors: Gallery vectors, shape `[N, D]`.
        query: Query vectors, shape `[m, D]`, float32, at least one.
        k: How many at most.
        allowed: Rows that may appear, shape `(N,)`.
        entry_id: Entry id per row, shape `(N,)`; decides ties.
        index: Over the same rows; what it does not find is not found.

    Returns:
        The rows, best first.
    """
    finals = 2 * k + 64 if k else 0
    coarse: Float32Array | None = None
    if index is None:
        coarse = similarities(vectors, query)
        coarse[~allowed] = -np.inf
        rows = best_k(coarse, entry_id, finals)
    else:
        # Rows that may not appear, such as the query's own track, are the nearest of all.
        barred = int(np.count_nonzero((entry_id >= 0) & ~allowed))
        rows = index.nearest(query.float().cpu().numpy(), finals + barred if k else 0)
        rows = rows[allowed[rows]]
    # A product and a sum per row, not a matrix product: the result must not depend on other rows.
    finalists = vectors[torch.from_numpy(rows)].float()
    exact = (finalists[:, None, :] * query.to(finalists)[None]).sum(dim=2).amax(dim=1)
    similarity: Float32Array = exact.cpu().numpy()
    order = best_k(similarity, entry_id[rows], k)
    return SearchResult(rows[order], similarity[order], coarse)
