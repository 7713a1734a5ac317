"""Scores of a track against tracks: several crops on both sides, one logit per pair of tracks."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from streamreid.reid.matching import FeatureMaps, match_maxima, match_scores
from streamreid.reid.qaconv import FoldedHead

MultiShot = Literal["mean", "max"]
"""`mean`: average logit of all pairs of crops; `max`: each place takes its best partner from all
crops of the other track, the head is applied once per crop and averaged, and what the mere number
of crops adds to such a maximum is taken off."""

DEFAULT_RULE: MultiShot = "max"
"""Better than `mean` on tracklets of held-out training identities (docs/results/matcher.md)."""

# The maximum over more crops is larger for strangers too: by this share of the head's total weight
# per natural logarithm of the number of crops, on each side. Fitted on pairs of different people
# among held-out training identities; 0.022 to 0.027 for three networks of very different quality.
_CROPS_BIAS = 0.025

# Gallery maps scored at once: with four query crops their maxima take 1.6 MB at 24x8.
_CHUNK = 256


def track_scores(
    query: FeatureMaps,
    sizes: Sequence[int],
    members: Callable[[int, int], FeatureMaps],
    head: FoldedHead,
    *,
    rule: MultiShot = DEFAULT_RULE,
    backend: str = "auto",
) -> Tensor:
    """Score the crops of one track against the crops of several others.

    With one crop on both sides every rule is the layer's own score; all are symmetric for a
    symmetric head. Memory does not depend on the number of groups.

    Args:
        query: Maps of the query track, at least one.
        sizes: Number of maps of each group; 0 for a group without any.
        members: Gives the maps `start` to `stop` of all groups one after the other.
        head: The folded head of the trained layer.
        rule: How crops are combined.
        backend: As for `match_scores`.

    Returns:
        One logit per group, shape `[len(sizes)]`, float32, on the CPU; NaN for an empty group.

    Raises:
        ValueError: If there is no query map or the rule is unknown.

    Source: design section 11.8 (rules `mean` and multi-shot max); the correction is ours.
    """
    if not len(query):
        raise ValueError("a track needs at least one map to be scored")
    if rule not in get_args(MultiShot):
        raise ValueError(f"multi-shot rule {rule!r}; use one of {get_args(MultiShot)}")
    score_chunk = _mean_scores if rule == "mean" else _max_scores
    parts = [torch.zeros(0)]
    start = 0
    for chunk in _chunks(sizes):
        stop = start + sum(chunk)
        if stop == start:
            parts.append(torch.full((len(chunk),), torch.nan))
            continue
        parts.append(score_chunk(query, chunk, members(start, stop), head, backend).cpu())
        start = stop
    return torch.cat(parts)


def _chunks(sizes: Sequence[int]) -> list[list[int]]:
    """Consecutive groups of at most `_CHUNK` maps together; a larger group stands alone."""
    chunks: list[list[int]] = []
    room = 0
    for size in sizes:
        if not chunks or size > room:
            chunks.append([])
            room = _CHUNK
        chunks[-1].append(size)
        room -= size
    return chunks


def _mean_scores(
    query: FeatureMaps, sizes: Sequence[int], items: FeatureMaps, head: FoldedHead, backend: str
) -> Tensor:
    per_item = match_scores(query, items, head, backend=backend).mean(dim=0)
    return torch.stack([part.mean() for part in torch.split(per_item, list(sizes))])


def _max_scores(
    query: FeatureMaps, sizes: Sequence[int], items: FeatureMaps, head: FoldedHead, backend: str
) -> Tensor:
    head = head.to(device=items.data.device, dtype=torch.float32)
    of_query, of_gallery = match_maxima(query, items, backend=backend)
    from_gallery = of_gallery.amax(dim=0) @ head.gallery_weight
    total_weight = float(head.query_weight.abs().sum() + head.gallery_weight.abs().sum())
    scores = from_gallery.new_full((len(sizes),), torch.nan)
    counts = torch.tensor(sizes)
    starts = counts.cumsum(0) - counts
    # Groups of one size are reduced together: a loop over single groups costs more than the match.
    for size in sorted(set(sizes) - {0}):
        groups = (counts == size).nonzero().flatten()
        rows = (starts[groups][:, None] + torch.arange(size)).to(from_gallery.device)
        best = of_query[:, rows].amax(dim=2).mean(dim=0)  # [groups, n]
        bias = _CROPS_BIAS * total_weight * math.log(len(query) * size)
        from_query = best @ head.query_weight
        both = from_query + from_gallery[rows].mean(dim=1) + head.offset - bias
        scores[groups.to(scores.device)] = both
    return scores
