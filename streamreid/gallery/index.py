"""An approximate index over the shortlist vectors, for galleries where a matrix product is slow.

Up to about a million vectors one matrix product is exact and fast enough, see
docs/results/matcher.md. Beyond that a graph index answers in about a millisecond, at the price of
memory, of slower inserts and of a few entries that it does not find. usearch is an optional
package: `pip install streamreid[index]`.
"""

import importlib.util
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from streamreid.types import Float32Array, Int64Array

INDEX_BYTES = 900
"""Memory that the graph takes per entry of 512 values (8-bit copy, links), measured 849."""

# Adding many entries at once (a restart) may use all cores; the graph then depends on timing.
_TOGETHER = 1_000


class SlotIndex(Protocol):
    """Finds slots by the inner product of their unit vectors."""

    name: str
    """For the record of a run."""

    def add(self, slots: Sequence[int], vectors: Float32Array) -> None:
        """Add slots that are not in it, with their vectors `[N, D]`."""

    def remove(self, slot: int) -> None:
        """Remove a slot; one that is not in it is left alone."""

    def nearest(self, query: Float32Array, count: int) -> Int64Array:
        """About `count` slots nearest to each row of `[m, D]`, without repetition, ascending."""


def index_installed() -> bool:
    """Whether the optional package is there."""
    return importlib.util.find_spec("usearch") is not None


class GraphIndex:
    """A hierarchical navigable graph over 8-bit copies of the vectors, by usearch.

    Args:
        width: Length of the vectors.

    Raises:
        ImportError: If usearch is not installed.

    Source: Malkov and Yashunin, arXiv 1603.09320.
    """

    name = "usearch"

    def __init__(self, width: int) -> None:
        from usearch.index import Index

        self._index = Index(ndim=width, metric="cos", dtype="i8")

    def add(self, slots: Sequence[int], vectors: Float32Array) -> None:
        """Add slots that are not in it, with their vectors `[N, D]`."""
        if len(slots):
            threads = 1 if len(slots) < _TOGETHER else 0
            self._index.add(np.asarray(slots, np.uint64), vectors, threads=threads)

    def remove(self, slot: int) -> None:
        """Remove a slot; one that is not in it is left alone."""
        self._index.remove(slot, threads=1)

    def nearest(self, query: Float32Array, count: int) -> Int64Array:
        """About `count` slots nearest to each row of `[m, D]`, without repetition, ascending."""
        if not len(self._index) or count < 1:
            return np.zeros(0, np.int64)
        count = min(count, len(self._index))
        found = [np.asarray(self._index.search(row, count, threads=1).keys) for row in query]
        return np.unique(np.concatenate(found)).astype(np.int64)
