"""The coarse stage: exact order and defined ties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from streamreid.gallery.shortlist import best_k, pooled_vectors, search, similarities
from streamreid.types import CropKey
from tests.gallery.builders import entry, make_crops, make_scorer


@settings(max_examples=50)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 200),
    queries=st.integers(1, 4),
    k=st.integers(0, 30),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_search_is_exact_among_the_allowed(
    seed: int, rows: int, queries: int, k: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    vectors = functional.normalize(torch.randn(rows, 24, generator=generator), dim=1).to(dtype)
    query = functional.normalize(torch.randn(queries, 24, generator=generator), dim=1)
    allowed = np.asarray(torch.rand(rows, generator=generator) < 0.8)
    ids = np.asarray(torch.randperm(rows, generator=generator))
    found = search(vectors, query, k, allowed=allowed, entry_id=ids)
    exact = (vectors.double() @ query.double().T).amax(dim=1).numpy()
    expected = np.sort(exact[allowed])[::-1][:k]
    np.testing.assert_allclose(found.similarity, expected, atol=1e-6)
    assert allowed[found.rows].all()


def test_ties_go_to_the_older_entry_whatever_the_order_of_rows() -> None:
    similarity = np.array([0.5, 0.9, 0.5, 0.5, -np.inf], np.float32)
    ids = np.array([30, 5, 10, 20, 1])
    assert ids[best_k(similarity, ids, 3)].tolist() == [5, 10, 20]
    order = np.array([3, 0, 4, 1, 2])
    assert ids[order][best_k(similarity[order], ids[order], 3)].tolist() == [5, 10, 20]
    assert ids[best_k(similarity, ids, 99)].tolist() == [5, 10, 20, 30]
    with pytest.raises(ValueError, match="k must not be negative"):
        best_k(similarity, ids, -1)


def test_pooled_vectors_are_unit_and_know_top_from_bottom() -> None:
    maps = torch.zeros(2, 4, 12, 3)
    maps[0, 0, :6] = maps[0, 1, 6:] = 1.0
    maps[1, 1, :6] = maps[1, 0, 6:] = 1.0
    vectors = pooled_vectors(maps)
    assert vectors.shape == (2, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert float(vectors[0] @ vectors[1]) == 0.0
    assert pooled_vectors(maps[:, :, :2]).shape == (2, 8)
    with pytest.raises(ValueError, match="maps must be"):
        pooled_vectors(maps[0])


def test_exact_scorer_leaves_nobody_out() -> None:
    scorer = make_scorer(exact=True)
    entries = [entry(i + 1, track=i, at_s=float(i)) for i in range(30)]
    scorer.insert(entries, scorer.embed(make_crops(range(30))))
    assert len(scorer.candidates([CropKey(1)], 3).entry_ids) == 29


@pytest.mark.parametrize("rows", [0, 1, 511, 512, 513, 5000, 66_100])
@pytest.mark.parametrize("queries", [1, 4])
def test_blocks_of_rows_change_no_product(rows: int, queries: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    vectors = torch.randn(rows, 16, generator=generator)
    query = torch.randn(queries, 16, generator=generator)
    expected = (vectors @ query.T).amax(dim=1).numpy()
    np.testing.assert_allclose(similarities(vectors, query), expected, rtol=1e-5, atol=1e-5)
