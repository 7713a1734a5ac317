"""Pooled maxima of all pairs of a batch with a gradient that never holds the correlation.

`streamreid.reid.qaconv.pooled_maxima` is the readable form: it keeps `[Q, G, n, n]` values for its
backward pass (600 MB for 64 maps of 24x8) and multiplies dense gradients of which one value in n is
not zero. Here only the winning places are kept, and the gradient is a sum over those.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Correlation values computed at once: 16 pairs of 24x8 maps, 2.4 MB.
_BLOCK_VALUES = 16 * 192 * 192


def pair_maxima(query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
    """Best correlation of each location with any location of the other map, for training.

    Equal to `streamreid.reid.qaconv.pooled_maxima` in value and gradient; where two places tie, one
    of them gets the gradient. Passing the same tensor twice halves the work.

    Args:
        query: Feature maps, shape `[Q, C, h, w]`, float32 or float64.
        gallery: Feature maps, shape `[G, C, h, w]`, same dtype.

    Returns:
        Two tensors `[Q, G, n]`: the maximum for each query location and for each gallery location.
    """
    queries = query.flatten(2).transpose(1, 2).contiguous()
    if gallery is query:
        maxima = _best_partner(queries, queries)
        return maxima, maxima.transpose(0, 1)
    items = gallery.flatten(2).transpose(1, 2).contiguous()
    return _best_partner(queries, items), _best_partner(items, queries).transpose(0, 1)


def _best_partner(own: Tensor, other: Tensor) -> Tensor:
    maxima: Tensor = _BestPartner.apply(own, other)  # type: ignore[no-untyped-call]
    return maxima


class _BestPartner(torch.autograd.Function):
    """Maxima `[Q, G, n]` for each location of `own [Q, n, C]` over those of `other [G, m, C]`."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, other: Tensor) -> Tensor:
        """Keep the winning places instead of the correlation."""
        queries, locations, channels = own.shape
        items, places, _ = other.shape
        maxima = own.new_empty(queries, items, locations)
        winners = torch.empty(queries, items, locations, dtype=torch.int64, device=own.device)
        block = max(1, _BLOCK_VALUES // (locations * places))
        rows = other.reshape(-1, channels)
        for start in range(0, items, block):
            stop = min(start + block, items)
            part = rows[start * places : stop * places]
            for index in range(queries):
                correlation = (part @ own[index].T).view(stop - start, places, locations)
                best = correlation.max(dim=1)
                maxima[index, start:stop] = best.values
                winners[index, start:stop] = best.indices
        ctx.save_for_backward(own, other, winners)
        return maxima

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the vectors of the winners, and back to the winners."""
        own, other, winners = ctx.saved_tensors
        items, places, _ = other.shape
        # One row per location of `own`, holding for each gallery item its winning row in `other`.
        shift = torch.arange(items, device=own.device)[None, :, None] * places
        columns = (winners + shift).transpose(1, 2).reshape(-1, items)
        weights = gradients[0].transpose(1, 2).reshape(-1, items)
        to_own = functional.embedding_bag(
            columns, other.flatten(0, 1), mode="sum", per_sample_weights=weights
        )
        # The transposed sum: the same entries, sorted by winner.
        order = columns.flatten().argsort()
        counts = torch.bincount(columns.flatten(), minlength=items * places)
        to_other = functional.embedding_bag(
            torch.div(order, items, rounding_mode="floor"),
            own.flatten(0, 1),
            offsets=counts.cumsum(0) - counts,
            mode="sum",
            per_sample_weights=weights.flatten()[order],
        )
        return to_own.view_as(own), to_other.view_as(other)
