"""Who cannot be one person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.association.constraints import (
    Span,
    conflict_matrix,
    conflicts,
    violations,
)
from streamreid.types import CameraId, IdentityId, TrackKey

A, B, C = CameraId("a"), CameraId("b"), CameraId("c")


def span(track: int, camera: CameraId, start: float, end: float) -> Span:
    return Span(TrackKey(track), camera, start, end)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (span(1, A, 0, 10), span(2, A, 5, 15), True),
        (span(1, A, 0, 10), span(2, A, 10, 15), True),
        (span(1, A, 0, 10), span(2, A, 10.1, 15), False),
        (span(1, A, 3, 3), span(2, A, 3, 3), True),
        (span(1, A, 0, 10), span(2, C, 5, 15), False),
        (span(1, A, 0, 10), span(2, B, 5, 15), True),
        (span(1, B, 0, 10), span(2, A, 5, 15), True),
    ],
)
def test_conflicts(first: Span, second: Span, expected: bool) -> None:
    disjoint = frozenset({(B, A)})
    assert conflicts(first, second, disjoint) is expected
    assert conflict_matrix([first, second], disjoint)[0, 1] == expected


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C]), st.floats(0, 50), st.floats(0, 20)), max_size=12)
)
def test_matrix_and_pairs_agree(items: list[tuple[CameraId, float, float]]) -> None:
    spans = [
        span(n, camera, start, start + length) for n, (camera, start, length) in enumerate(items)
    ]
    disjoint = frozenset({(A, C)})
    matrix = conflict_matrix(spans, disjoint)
    for one, first in enumerate(spans):
        for other, second in enumerate(spans):
            assert matrix[one, other] == conflicts(first, second, disjoint)
    assert np.array_equal(matrix, matrix.T)


def test_violations_are_counted_within_identities_only() -> None:
    spans = [span(1, A, 0, 10), span(2, A, 5, 15), span(3, B, 6, 7), span(4, A, 30, 40)]
    one = IdentityId(1)
    assert len(violations([(one, item) for item in spans])) == 1
    assert len(violations([(one, item) for item in spans], frozenset({(A, B)}))) == 3
    assert violations([(IdentityId(n), item) for n, item in enumerate(spans)]) == []
