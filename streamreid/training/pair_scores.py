"""Best correlations and scores of all pairs of a batch, with gradients that never hold the whole.

`streamreid.reid.qaconv.pooled_maxima` is the readable form: it keeps `[Q, G, n, n]` values for its
backward pass (600 MB for 64 maps of 24x8) and multiplies dense gradients of which one value in n is
not zero. Here only the winning places are kept, and the gradient is a sum over those.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional


class _BestPartner(Function):
    """For each location of each map its best correlation with every other map."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
        """Compute the maxima `[Q, n, G]` of `own [Q, n, C]` over `other [G, m, C]`.

        The products are made in `dtype`; bfloat16 is several times faster where the CPU has it.
        """
        queries, locations, channels = own.shape
        items, places, _ = other.shape
        compact = own.detach().to(dtype)
        columns = other.detach().to(dtype).reshape(-1, channels).t().contiguous()
        maxima = own.new_empty(queries, locations, items)
        winners = torch.empty(queries, locations, items, dtype=torch.int64, device=own.device)
        first = torch.arange(items, device=own.device) * places
        for number in range(queries):
            best = (compact[number] @ columns).view(locations, items, places).max(dim=2)
            maxima[number] = best.values
            winners[number] = best.indices + first
        ctx.save_for_backward(own, other, winners)
        return maxima

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Send each maximum's gradient to the two locations that made it."""
        own, other, winners = ctx.saved_tensors
        items, places, _ = other.shape
        rows = winners.reshape(-1, items)
        weights = gradients[0].reshape(-1, items)
        to_own = functional.embedding_bag(
            rows, other.flatten(0, 1), mode="sum", per_sample_weights=weights
        )
        # The transposed sum: the same entries, sorted by the place that won.
        order = rows.flatten().argsort()
        wins = torch.bincount(rows.flatten(), minlength=items * places)
        to_other = functional.embedding_bag(
            torch.div(order, items, rounding_mode="floor"),
            own.flatten(0, 1),
            offsets=wins.cumsum(0) - wins,
            mode="sum",
            per_sample_weights=weights.flatten()[order],
        )
        return to_own.view_as(own), to_other.view_as(other), None


def _best_partner(own: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
    maxima: Tensor = _BestPartner.apply(own, other, dtype)  # type: ignore[no-untyped-call]
    return maxima


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
    queries, dtype = _locations(query), query.dtype
    if gallery is query:
        maxima = _best_partner(queries, queries, dtype).transpose(1, 2)
        return maxima, maxima.transpose(0, 1)
    items = _locations(gallery)
    of_query = _best_partner(queries, items, dtype).transpose(1, 2)
    return of_query, _best_partner(items, queries, dtype).permute(2, 0, 1)


def pair_scores(maps: Tensor, weight: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Score all pairs of a batch: the weighted mean of every location's best correlation.

    Args:
        maps: Unit-norm feature maps, shape `[N, C, h, w]`.
        weight: Location weights that sum to one, shape `[h * w]`.
        dtype: Type of the products.

    Returns:
        Symmetric, shape `[N, N]`, in [-1, 1] for non-negative weights.
    """
    locations = _locations(maps)
    directed = torch.einsum("s,psg->pg", weight, _best_partner(locations, locations, dtype))
    return (directed + directed.t()) / 2


def _locations(maps: Tensor) -> Tensor:
    """`[N, C, h, w]` as `[N, n, C]`."""
    return maps.flatten(2).transpose(1, 2).contiguous()


def pair_softmax_loss(
    score: Tensor, identity: Tensor, *, temperature: float
) -> tuple[Tensor, Tensor]:
    """Softmax of each true pair against all false pairs of its anchor.

    Args:
        score: Shape `[N, N]`, in [-1, 1].
        identity: Labels, shape `[N]`.
        temperature: Factor on the scores.

    Returns:
        Mean loss over all ordered true pairs (no image with itself), and the share of anchors whose
        best partner is a true one.
    """
    same = identity[:, None] == identity[None, :]
    itself = torch.eye(len(identity), dtype=torch.bool)
    logits = score * temperature
    false_mass = torch.logsumexp(logits.masked_fill(same, -torch.inf), dim=1, keepdim=True)
    loss = functional.softplus(false_mass - logits)[same & ~itself].mean()
    nearest = score.detach().masked_fill(itself, -torch.inf).argmax(dim=1)
    correct = (identity[nearest] == identity).float().mean()
    return loss, correct
