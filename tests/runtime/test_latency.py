"""Latency out of buckets: close to the truth, and bounded beyond the last one."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.runtime.counter_rows import read_counters
from streamreid.runtime.counter_table import LATENCY_BUCKETS_S
from streamreid.runtime.counters import create_counters
from streamreid.runtime.latency import latency_buckets, latency_quantiles
from tests.fakes import ManualClock


def test_what_processes_counted_becomes_quantiles(tmp_path: Path) -> None:
    with create_counters(tmp_path, "matcher", "matcher", 5, clock=ManualClock()) as counters:
        nothing = latency_quantiles(latency_buckets(read_counters(tmp_path)))
        assert set(nothing.values()) == {None}
        for latency_s, count in ((0.01, 50), (0.15, 45), (100.0, 5)):
            for _ in range(count):
                counters.observe_latency(latency_s)
    rows = read_counters(tmp_path)
    assert latency_quantiles(latency_buckets(rows)) == {"p50": 0.01, "p95": 0.2, "p99": 60.0}
    assert rows[0].values["latency_sum_s"] == pytest.approx(0.5 + 6.75 + 500)


def test_buckets_are_fine_enough_to_see_a_change_by_half() -> None:
    assert all(low < high for low, high in pairwise(LATENCY_BUCKETS_S))
    assert all(high <= 1.5 * low for low, high in pairwise(LATENCY_BUCKETS_S) if low >= 0.2)


@given(st.lists(st.floats(1e-3, 59.0), min_size=1, max_size=200))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(latencies_s: list[float]) -> None:
    edges = (0.0, *LATENCY_BUCKETS_S)
    index = np.searchsorted(LATENCY_BUCKETS_S, latencies_s)
    counts = np.bincount(index, minlength=len(edges)).astype(float).tolist()
    true_s = float(np.quantile(latencies_s, 0.95, method="inverted_cdf"))
    bucket = int(np.searchsorted(LATENCY_BUCKETS_S, true_s))
    found_s = latency_quantiles(counts)["p95"]
    assert found_s is not None
    assert edges[bucket] - 1e-9 <= found_s <= edges[bucket + 1] + 1e-9
