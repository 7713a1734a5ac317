"""How long the shortlist must be: conformal sizes from ranks, and what they promise.

Source: design section 11.6. A query's rank is the place of its exactly best entry in the order of
the shortlist, which misses it when it is cut before that place.
"""

import math
from collections.abc import Sequence


def conformal_size(ranks: Sequence[int], miss_rate: float) -> int | None:
    """Shortlist size that loses the best entry of a new query with at most this probability.

    The promise is marginal and holds if the queries are exchangeable with the new one: use one
    query per track, since the crops of a track are near-duplicates.

    Args:
        ranks: Rank of the best entry of each calibration query, from 1.
        miss_rate: Allowed probability in (0, 1).

    Returns:
        The `ceil((n + 1)(1 - miss_rate))`-th smallest rank, or None if there are too few queries to
        promise so little.
    """
    if not 0.0 < miss_rate < 1.0:
        raise ValueError(f"miss rate must lie between 0 and 1, got {miss_rate}")
    place = math.ceil((len(ranks) + 1) * (1.0 - miss_rate))
    return sorted(ranks)[place - 1] if place <= len(ranks) else None


def miss_rate_bound(misses: int, queries: int, confidence: float = 0.95) -> float:
    """Largest miss rate that the counts do not contradict (Clopper and Pearson, one-sided).

    Args:
        misses: Queries whose best entry was cut off.
        queries: Queries that were looked at.
        confidence: Probability that the bound holds, in (0, 1).

    Returns:
        Upper bound on the miss rate; 1 without any query.
    """
    if not 0 <= misses <= queries:
        raise ValueError(f"misses must lie between 0 and {queries}, got {misses}")
    if misses == queries:
        return 1.0
    from scipy.stats import beta

    return float(beta.ppf(confidence, misses + 1, queries - misses))
