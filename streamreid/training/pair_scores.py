"""Scores of all pairs of a batch with gradients, without keeping the correlation in memory.

The score of a pair is the weighted mean of every location's best correlation in the other map. Only
the place of each maximum is kept, so the gradient is a sum over winners instead of a dense product.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional


class BestCorrelation(Function):
    """For each location of each map its best correlation with every map of the batch."""

    @staticmethod
    def forward(ctx: Any, locations: Tensor, dtype: torch.dtype) -> Tensor:
        """Compute the maxima.

        Args:
            ctx: Autograd's record.
            locations: Unit vectors, shape `[N, n, C]`, float32.
            dtype: Type of the products; bfloat16 is several times faster where the CPU has it.

        Returns:
            Shape `[N, n, N]`, float32: entry `[p, s, g]` is map p's location s against map g.
        """
        count, places, channels = locations.shape
        compact = locations.detach().to(dtype)
        columns = compact.reshape(-1, channels).t().contiguous()
        best = locations.new_empty(count, places, count)
        index = torch.empty(count, places, count, dtype=torch.int64)
        first = torch.arange(count) * places
        for number in range(count):
            maximum = (compact[number] @ columns).view(places, count, places).max(dim=2)
            best[number] = maximum.values
            index[number] = maximum.indices + first
        ctx.save_for_backward(locations, index)
        return best

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Send each maximum's gradient to the two locations that made it."""
        locations, index = ctx.saved_tensors
        count, places, channels = locations.shape
        flat = locations.reshape(-1, channels)
        winners = index.reshape(-1, count)
        weights = gradients[0].reshape(-1, count)
        own = _weighted_sums(winners, flat, weights)
        # The transposed sum: the same entries, sorted by the place that won.
        order = winners.flatten().argsort()
        wins = torch.bincount(winners.flatten(), minlength=count * places)
        other = functional.embedding_bag(
            torch.div(order, count, rounding_mode="floor"),
            flat,
            offsets=wins.cumsum(0) - wins,
            mode="sum",
            per_sample_weights=weights.flatten()[order],
        )
        return (own + other).view_as(locations), None


def _weighted_sums(rows: Tensor, vectors: Tensor, weights: Tensor) -> Tensor:
    """Sum `weights[i, k] * vectors[rows[i, k]]` over k, shape `[len(rows), C]`."""
    return functional.embedding_bag(rows, vectors, mode="sum", per_sample_weights=weights)


def pair_scores(maps: Tensor, weight: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Score all pairs of a batch.

    Args:
        maps: Unit-norm feature maps, shape `[N, C, h, w]`.
        weight: Location weights that sum to one, shape `[h * w]`.
        dtype: See `BestCorrelation.forward`.

    Returns:
        Symmetric, shape `[N, N]`, in [-1, 1] for non-negative weights.
    """
    locations = maps.flatten(2).transpose(1, 2).contiguous()
    best: Tensor = BestCorrelation.apply(locations, dtype)  # type: ignore[no-untyped-call]
    directed = torch.einsum("s,psg->pg", weight, best)
    return (directed + directed.t()) / 2


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
