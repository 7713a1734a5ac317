"""Conformal sizes keep their promise; bounds equal the textbook's."""

import numpy as np
import pytest

from streamreid.gallery.calibration import conformal_size, miss_rate_bound


@pytest.mark.parametrize(
    ("count", "miss_rate", "expected"),
    [
        (999, 0.001, 999),
        (998, 0.001, None),
        (99, 0.01, 99),
        (19, 0.1, 18),
        (3, 0.5, 2),
        (0, 0.5, None),
    ],
)
def test_conformal_size_is_the_right_order_statistic(
    count: int, miss_rate: float, expected: int | None
) -> None:
    ranks = np.random.default_rng(0).permutation(np.arange(1, count + 1)).tolist()
    assert conformal_size(ranks, miss_rate) == expected


def test_conformal_size_misses_no_more_than_promised() -> None:
    """Over many draws of 100 calibration queries and one new one, 10 % allowed."""
    draw = np.random.default_rng(1)
    missed = 0
    for _ in range(2000):
        ranks = np.ceil(draw.pareto(1.0, 101)).astype(int)
        size = conformal_size(ranks[:100].tolist(), 0.1)
        assert size is not None
        missed += int(ranks[100] > size)
    assert missed / 2000 <= 0.12


@pytest.mark.parametrize(
    ("misses", "queries", "expected"),
    [(0, 1000, 0.00299), (0, 2995, 0.001), (1, 100, 0.0466), (0, 0, 1.0), (5, 5, 1.0)],
)
def test_miss_rate_bound_is_clopper_and_pearsons(
    misses: int, queries: int, expected: float
) -> None:
    assert miss_rate_bound(misses, queries) == pytest.approx(expected, rel=0.01)


def test_wrong_numbers_are_named() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_size([1], 0.0)
    with pytest.raises(ValueError, match="between 0 and 3"):
        miss_rate_bound(4, 3)
