"""Offline TLift against the golden vectors, its invariances and its edge cases."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.tlift.rescore import best_matches, pivot_weight, tlift
from tests.golden_data import load_golden


def arguments(arrays: dict[str, Any]) -> dict[str, Any]:
    return {
        "query_camera": arrays["prob_cam"],
        "query_time_s": arrays["prob_time"],
        "gallery_camera": arrays["gal_cam"],
        "gallery_time_s": arrays["gal_time"],
    }


def random_case(seed: int, ties: bool = False) -> tuple[Any, dict[str, Any]]:
    """Scores and events of three cameras."""
    random = np.random.default_rng(seed)
    queries, items = random.integers(1, 25), random.integers(1, 30)
    score = random.random((queries, items))
    return (score.round(1) if ties else score), {
        "query_camera": random.integers(0, 3, queries),
        "query_time_s": random.integers(0, 600, queries).astype(float),
        "gallery_camera": random.integers(0, 3, items),
        "gallery_time_s": random.integers(0, 600, items).astype(float),
    }


def by_the_formula(score: Any, case: dict[str, Any], tau: float, sigma: float, count: int) -> Any:
    """Section 7 written down literally, with loops; alpha 0.2."""
    lifted = np.zeros_like(score)
    for p in range(score.shape[0]):
        near = (case["query_camera"] == case["query_camera"][p]) & (
            np.abs(case["query_time_s"] - case["query_time_s"][p]) < tau
        )
        for camera in set(case["gallery_camera"]):
            columns = np.flatnonzero(case["gallery_camera"] == camera)
            block = score[np.flatnonzero(near)][:, columns]
            values = np.sort(block.ravel())[::-1]
            theta = values[count - 1] if values.size > count else values[-1]
            times = case["gallery_time_s"][columns]
            pivot_times = [
                t for row in block for s, t in zip(row, times, strict=True) if s >= theta
            ]
            for g in columns:
                gaps = case["gallery_time_s"][g] - np.array(pivot_times)
                weight = np.mean(np.exp(-(gaps**2) / sigma**2))
                lifted[p, g] = (weight + 0.2) * score[p, g]
    return lifted


@pytest.mark.parametrize(
    ("name", "tolerance"), [("tlift_f32", 1e-6), ("tlift_f64", 1e-12), ("tlift_ties", 1e-12)]
)
@pytest.mark.parametrize("j", range(4))
def test_lifted_scores_equal_golden(name: str, tolerance: float, j: int) -> None:
    arrays = load_golden(name)
    tau_s, sigma_s, pivots, alpha = arrays[f"params_{j}"].tolist()
    lifted = tlift(
        arrays["score"],
        tau_s=tau_s,
        sigma_s=sigma_s,
        pivots=int(pivots),
        alpha=alpha,
        **arguments(arrays),
    )
    assert lifted.dtype == arrays["score"].dtype
    np.testing.assert_allclose(lifted, arrays[f"lifted_{j}"], atol=tolerance, rtol=0)
    known = arrays["score"] != 0
    weight = lifted[known] / arrays["score"][known] - alpha
    weight_tolerance = 1e-4 if name == "tlift_f32" else 1e-9
    np.testing.assert_allclose(weight, arrays[f"weight_{j}"][known], atol=weight_tolerance, rtol=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), ties=st.booleans(), count=st.integers(1, 12))
def test_equals_the_formula_written_with_loops(seed: int, ties: bool, count: int) -> None:
    score, case = random_case(seed, ties)
    expected = by_the_formula(score, case, 50.0, 80.0, count)
    found = tlift(score, tau_s=50.0, sigma_s=80.0, pivots=count, **case)
    np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), shift_s=st.lists(st.integers(-(10**6), 10**6), min_size=6))
def test_a_constant_clock_offset_of_any_camera_cancels(seed: int, shift_s: list[int]) -> None:
    # A person is a query under one clock and a gallery item under another: both may be off.
    score, case = random_case(seed)
    shifted = dict(case)
    shifted["query_time_s"] = case["query_time_s"] + np.array(shift_s[:3])[case["query_camera"]]
    shifted["gallery_time_s"] = (
        case["gallery_time_s"] + np.array(shift_s[3:6])[case["gallery_camera"]]
    )
    np.testing.assert_allclose(tlift(score, **shifted), tlift(score, **case), atol=1e-12, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_follows_a_permutation_of_queries_and_gallery(seed: int) -> None:
    score, case = random_case(seed)
    random = np.random.default_rng(seed)
    rows, columns = random.permutation(score.shape[0]), random.permutation(score.shape[1])
    shuffled = {
        key: value[rows if key.startswith("query") else columns] for key, value in case.items()
    }
    np.testing.assert_allclose(
        tlift(score[np.ix_(rows, columns)], **shuffled),
        tlift(score, **case)[np.ix_(rows, columns)],
        atol=1e-12,
        rtol=0,
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_lifted_scores_stay_between_alpha_and_one_plus_alpha(seed: int) -> None:
    score, case = random_case(seed)
    lifted = tlift(score, **case)
    assert (lifted >= 0.2 * score - 1e-12).all()
    assert (lifted <= 1.2 * score + 1e-12).all()


def test_a_camera_number_without_gallery_has_no_candidates() -> None:
    score = np.array([[0.9, 0.1], [0.2, 0.8]])
    dense: dict[str, Any] = {
        "query_camera": [0, 0],
        "query_time_s": [0.0, 10.0],
        "gallery_time_s": [5.0, 400.0],
    }
    found = tlift(score, gallery_camera=[0, 7], **dense)
    np.testing.assert_array_equal(found, tlift(score, gallery_camera=[0, 1], **dense))
    assert tlift(np.zeros((2, 0)), gallery_camera=[], **(dense | {"gallery_time_s": []})).size == 0


def test_a_query_camera_without_gallery_is_lifted_like_any_other() -> None:
    score, case = random_case(11)
    elsewhere = case | {"query_camera": np.full(len(score), 9)}
    here = case | {"query_camera": np.full(len(score), 1)}
    np.testing.assert_array_equal(tlift(score, **elsewhere), tlift(score, **here))
    skipped = tlift(score, skip_unknown_cameras=True, **elsewhere)
    np.testing.assert_allclose(skipped, 0.2 * score, atol=1e-15, rtol=0)
    # A known camera is not skipped.
    np.testing.assert_array_equal(
        tlift(score, skip_unknown_cameras=True, **here), tlift(score, **here)
    )


@given(
    parts=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=12), min_size=1, max_size=5),
    count=st.integers(1, 8),
)
def test_best_matches_of_a_union_are_those_of_the_lists_of_its_parts(
    parts: list[list[int]], count: int
) -> None:
    times = [
        np.arange(len(part), dtype=np.float64) + 100.0 * number for number, part in enumerate(parts)
    ]
    scores = [np.array(part) / 5.0 for part in parts]
    whole = best_matches(np.concatenate(scores), np.concatenate(times), count)
    lists = [best_matches(s, t, count) for s, t in zip(scores, times, strict=True)]
    merged = best_matches(
        np.concatenate([part[0] for part in lists]),
        np.concatenate([part[1] for part in lists]),
        count,
    )
    np.testing.assert_array_equal(merged[1], whole[1])


def test_pivot_weight_counts_repeated_pivots() -> None:
    weight = pivot_weight(np.array([0.0, 10.0]), np.array([0.0, 0.0, 10.0]), 10.0)
    np.testing.assert_allclose(weight, [(2 + np.exp(-1)) / 3, (2 * np.exp(-1) + 1) / 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_time_s": [0.0, np.nan]}, "1 of 2 query times are missing"),
        ({"gallery_camera": [0]}, "gallery needs 2 cameras and times"),
        ({"tau_s": 0.0}, "must be positive"),
        ({"pivots": 0}, "must be positive"),
    ],
)
def test_wrong_inputs_are_named(change: dict[str, Any], message: str) -> None:
    case: dict[str, Any] = {
        "query_camera": [0, 0],
        "query_time_s": [0.0, 1.0],
        "gallery_camera": [0, 1],
        "gallery_time_s": [0.0, 1.0],
    }
    with pytest.raises(ValueError, match=message):
        tlift(np.ones((2, 2)), **(case | change))
    with pytest.raises(ValueError, match="scores must be finite"):
        tlift(np.full((2, 2), np.nan), **case)
