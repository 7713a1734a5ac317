"""Crop-to-row latency out of the buckets in which the matcher counts it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from streamreid.runtime.counter_rows import CounterRow
from streamreid.runtime.counter_table import LATENCY_BUCKETS_S

_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def latency_buckets(rows: Iterable[CounterRow]) -> list[float]:
    """Crops per bucket of `LATENCY_BUCKETS_S`, summed over processes; the last: what is longer."""
    counts = [0.0] * (len(LATENCY_BUCKETS_S) + 1)
    for row in rows:
        for index in range(len(counts)):
            counts[index] += row.values[f"latency_bucket_{index}"]
    return counts


def latency_quantiles(counts: Sequence[float]) -> Mapping[str, float | None]:
    """p50, p95 and p99 in seconds, spread evenly inside a bucket.

    Args:
        counts: As `latency_buckets` gives them.

    Returns:
        None where nothing was measured; the last bound, as Prometheus does it, for what is longer.
    """
    return {name: _quantile(counts, share) for name, share in _SHARES.items()}


def _quantile(counts: Sequence[float], share: float) -> float | None:
    wanted = share * sum(counts)
    if not wanted:
        return None
    seen = 0.0
    for (low_s, high_s), count in zip(
        pairwise((0.0, *LATENCY_BUCKETS_S)), counts[:-1], strict=True
    ):
        if count and seen + count >= wanted:
            return low_s + (high_s - low_s) * (wanted - seen) / count
        seen += count
    return LATENCY_BUCKETS_S[-1]
