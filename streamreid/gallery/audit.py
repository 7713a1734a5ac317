"""Checks the shortlist while it works: a sample of the queries is also scored in full.

A full scoring of 20,000 entries takes a third of a second on one core, so it is done in slices, one
per later query: no answer waits for it, and what it costs is the sampled share of the full price.
"""

from collections import deque
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch

from streamreid.gallery.calibration import conformal_size, miss_rate_bound
from streamreid.gallery.ring import Ring
from streamreid.gallery.shortlist import BoolArray
from streamreid.reid.matching import FeatureMaps, match_scores
from streamreid.reid.qaconv import FoldedHead
from streamreid.types import Float32Array, Int64Array

_SLICE = 256
_REMEMBERED = 3_000
_PENDING = 4
_PARTS = 1 << 20


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audits found so far.

    Attributes:
        audited: Queries that were scored in full.
        missed: How many of them had a better entry outside their shortlist.
        skipped: Sampled queries that were not audited because others were still waiting.
        miss_rate: Share of missed; NaN before the first audit.
        miss_rate_bound: Largest miss rate that the counts do not contradict, 95 % confidence.
        size_for_1_percent: Shortlist size that would miss 1 % at the present gallery, None before
            enough queries were audited.
    """

    audited: int
    missed: int
    skipped: int
    miss_rate: float
    miss_rate_bound: float
    size_for_1_percent: int | None


@dataclass(slots=True, eq=False)
class _Running:
    """One query that is being scored in full."""

    query: FeatureMaps
    k: int
    entry_ids: Int64Array  # the gallery at the time of the query, in the shortlist's order
    done: int = 0
    best_place: int = -1
    best_score: float = -np.inf


class ShortlistAudit:
    """Samples queries and scores them in full, a slice at a time.

    Args:
        share: Share of the queries that are audited, in [0, 1].

    Attributes:
        audited: Queries that were scored in full so far.
        missed: How many of them had a better entry outside their shortlist.
    """

    def __init__(self, share: float) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"audited share must lie between 0 and 1, got {share}")
        self._below = round(share * _PARTS)
        self._waiting: deque[_Running] = deque()
        self._relative_ranks: deque[float] = deque(maxlen=_REMEMBERED)
        self._gallery = 0
        self.audited = self.missed = self._skipped = 0

    def wants(self, query_ids: Int64Array) -> bool:
        """Whether a query is in the sample; depends on its ids only, so a replay samples alike."""
        if self._below == 0 or not len(query_ids):
            return False
        return crc32(np.sort(query_ids).tobytes()) % _PARTS < self._below

    def begin(
        self, query: FeatureMaps, k: int, ring: Ring, similarity: Float32Array, allowed: BoolArray
    ) -> None:
        """Note a sampled query; the gallery of this moment is what it is audited against.

        Args:
            query: Its maps.
            k: Size of the shortlist it got.
            ring: The gallery.
            similarity: Similarity to every slot below `ring.top`.
            allowed: Slots that may appear.
        """
        if len(self._waiting) >= _PENDING:
            self._skipped += 1
            return
        slots = np.flatnonzero(allowed)
        order = np.lexsort((ring.entry_id[slots], -similarity[slots]))
        self._waiting.append(_Running(query, k, ring.entry_id[slots[order]]))

    def step(self, ring: Ring, head: FoldedHead) -> None:
        """Score the next slice of the oldest waiting query; cheap when nobody waits."""
        if not self._waiting:
            return
        running = self._waiting[0]
        stop = min(running.done + _SLICE, len(running.entry_ids))
        live = [
            (place, slot)
            for place in range(running.done, stop)
            for slot in ring.slots_of([running.entry_ids[place]])
        ]
        if live:
            places, slots = zip(*live, strict=True)
            maps = ring.feature_maps(torch.tensor(slots, device=ring.device))
            scores = match_scores(running.query, maps, head).mean(dim=0)
            best = int(scores.argmax())
            if float(scores[best]) > running.best_score:
                running.best_place, running.best_score = places[best], float(scores[best])
        running.done = stop
        if stop == len(running.entry_ids):
            self._waiting.popleft()
            self._finish(running)

    def finish(self, ring: Ring, head: FoldedHead) -> AuditReport:
        """Complete every waiting audit and report."""
        while self._waiting:
            self.step(ring, head)
        return self.report()

    def report(self) -> AuditReport:
        """Counts so far."""
        ranks = [max(1, round(rank * self._gallery)) for rank in self._relative_ranks]
        return AuditReport(
            audited=self.audited,
            missed=self.missed,
            skipped=self._skipped,
            miss_rate=self.missed / self.audited if self.audited else float("nan"),
            miss_rate_bound=miss_rate_bound(self.missed, self.audited),
            size_for_1_percent=conformal_size(ranks, 0.01) if ranks else None,
        )

    def _finish(self, running: _Running) -> None:
        if running.best_place < 0:
            return
        self.audited += 1
        self.missed += running.best_place >= running.k
        self._gallery = len(running.entry_ids)
        self._relative_ranks.append((running.best_place + 1) / self._gallery)
