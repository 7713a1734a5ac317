"""Re-ranking against the golden vectors and against the recipe written with loops."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.evaluation import reranking
from streamreid.evaluation.reranking import k_reciprocal_rerank
from tests.golden_data import load_golden


@pytest.mark.parametrize("j", range(3))
@pytest.mark.parametrize("kind", ["sigmoid", "neglogit"])
def test_result_equals_golden(kind: str, j: int) -> None:
    arrays = load_golden("reranking")
    k1, k2, lambda_value = arrays[f"params_{j}"].tolist()
    found = k_reciprocal_rerank(
        arrays[f"dist_{kind}"], int(arrays["num_query"]), int(k1), int(k2), lambda_value
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, arrays[f"rr_{kind}_f32_{j}"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(found, arrays[f"rr_{kind}_{j}"], atol=5e-3, rtol=0)


@pytest.mark.parametrize("j", range(3))
def test_classical_recipe_equals_golden_when_squares_are_passed(j: int) -> None:
    arrays = load_golden("reranking")
    k1, k2, lambda_value = arrays[f"params_{j}"].tolist()
    found = k_reciprocal_rerank(
        arrays["dist_sigmoid"] ** 2, int(arrays["num_query"]), int(k1), int(k2), lambda_value
    )
    np.testing.assert_allclose(found, arrays[f"rr_squared_{j}"], atol=1e-5, rtol=0)


def by_the_recipe(distance: Any, queries: int, k1: int, k2: int, share: float) -> Any:
    """Section 6.4 written down literally in float64, with sets."""
    count = len(distance)
    o = (distance / distance.max(axis=0)).T
    rank = np.argsort(o, axis=1, kind="stable")

    def mutual(i: int, k: int) -> set[int]:
        return {int(j) for j in rank[i, : k + 1] if i in rank[j, : k + 1]}

    encoding = np.zeros((count, count))
    for i in range(count):
        base = mutual(i, k1)
        members = set(base)
        for j in base:
            theirs = mutual(j, int(np.around(k1 / 2)))
            if len(theirs & base) > 2 / 3 * len(theirs):
                members |= theirs
        chosen = sorted(members)
        weight = np.exp(-o[i, chosen])
        encoding[i, chosen] = weight / weight.sum()
    if k2 != 1:
        encoding = np.stack([encoding[rank[i, :k2]].mean(axis=0) for i in range(count)])
    result = np.zeros((queries, count - queries))
    for i in range(queries):
        for j in range(queries, count):
            shared = np.minimum(encoding[i], encoding[j]).sum()
            result[i, j - queries] = (1 - share) * (1 - shared / (2 - shared)) + share * o[i, j]
    return result


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), k1=st.integers(2, 9), k2=st.integers(1, 5))
def test_equals_the_recipe_written_with_sets(seed: int, k1: int, k2: int) -> None:
    random = np.random.default_rng(seed)
    points = random.random((30, 3)).astype(np.float32)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2).astype(np.float32)
    found = k_reciprocal_rerank(distance, 10, k1, k2)
    np.testing.assert_allclose(found, by_the_recipe(distance, 10, k1, k2, 0.3), atol=1e-5, rtol=0)


def test_the_size_of_the_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    distance = load_golden("reranking")["dist_sigmoid"]
    whole = k_reciprocal_rerank(distance, 40)
    monkeypatch.setattr(reranking, "_BLOCK_ROWS", 7)
    np.testing.assert_array_equal(k_reciprocal_rerank(distance, 40), whole)


def test_no_second_matrix_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 images are a matrix of 1.6 GB; what comes on top must not grow with its square."""
    monkeypatch.setattr(reranking, "_BLOCK_ROWS", 64)
    points = np.random.default_rng(3).random((2500, 3)).astype(np.float32)
    distance = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    tracemalloc.start()
    k_reciprocal_rerank(distance, 50)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.6 * distance.nbytes


@pytest.mark.parametrize(
    ("distance", "queries", "message"),
    [
        (np.zeros((3, 2)), 1, "must be square"),
        (np.zeros((3, 3)), 3, "need 0 < num_query < 3"),
        (np.full((3, 3), np.inf), 1, "finite"),
    ],
)
def test_wrong_inputs_are_named(distance: Any, queries: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        k_reciprocal_rerank(distance, queries)


def test_fewer_images_than_neighbours_work() -> None:
    distance = np.array([[0.0, 0.2, 0.9], [0.2, 0.0, 0.8], [0.9, 0.8, 0.0]])
    found = k_reciprocal_rerank(distance, 1)
    assert found.shape == (1, 2)
    assert found[0, 0] < found[0, 1]
