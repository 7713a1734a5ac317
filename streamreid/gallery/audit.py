"""Checks the shortlist while it works: a sample of the queries is also scored in full.

A full scoring of 20,000 entries takes a third of a second on one core, so it is done in slices, one
per later query: no answer waits for it, and what it costs is the sampled share of the full price.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch

from streamreid.gallery.calibration import miss_rate_bound
from streamreid.gallery.ring import Ring
from streamreid.gallery.shortlist import BoolArray
from streamreid.gallery.sizing import ShortlistSize
from streamreid.reid.matching import FeatureMaps
from streamreid.reid.multishot import DEFAULT_RULE, MultiShot, track_scores
from streamreid.reid.qaconv import FoldedHead
from streamreid.types import Float32Array, Int64Array

# Pairs of crops that one later query scores for an audit: 5 ms on one core in int8 at C = 128.
_SLICE_PAIRS = 256
_PENDING = 4
_PARTS = 1 << 20
_TRACKS = 10_000
# While the size has to be calibrated, this many times more queries are audited.
_HASTE = 10


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audits found so far.

    Attributes:
        audited: Queries that were scored in full.
        missed: How many of them had a better entry outside their shortlist.
        skipped: Sampled queries that were not audited because others were still waiting.
        miss_rate: Share of missed; NaN before the first audit.
        miss_rate_bound: Largest miss rate that the counts do not contradict, 95 % confidence.
        size: Least size of a shortlist at the present gallery; 0 where the caller decides alone.
        promised_miss_rate: Miss rate that a shortlist of that size keeps; 1 where nothing is
            promised.
    """

    audited: int
    missed: int
    skipped: int
    miss_rate: float
    miss_rate_bound: float
    size: int
    promised_miss_rate: float


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
    """Samples queries, at most one per track, and scores them in full, a slice at a time.

    Args:
        share: Share of the queries that are audited, in [0, 1].
        sizing: Learns the size of the shortlist from what is found; None leaves it to the caller.
        rule: How the crops of the query are combined, as in the scores that count.
        backend: Matching back-end.

    Attributes:
        audited: Queries that were scored in full so far.
        missed: How many of them had a better entry outside their shortlist.
    """

    def __init__(
        self,
        share: float,
        *,
        sizing: ShortlistSize | None = None,
        rule: MultiShot = DEFAULT_RULE,
        backend: str = "auto",
    ) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"audited share must lie between 0 and 1, got {share}")
        self._share = share
        self._sizing = sizing if share else None
        self._rule: MultiShot = rule
        self._backend = backend
        self._waiting: deque[_Running] = deque()
        self._tracks: dict[int, None] = {}  # the latest audited tracks, oldest first
        self._gallery = 0
        self.audited = self.missed = self._skipped = 0

    def size(self, asked: int, gallery: int) -> int:
        """Size of the shortlist of the next query: what it asks for, or more.

        Args:
            asked: What the caller wants at least.
            gallery: Entries now.
        """
        self._gallery = gallery
        return asked if self._sizing is None else self._sizing.size(asked, gallery)

    def wants(self, query_ids: Int64Array, tracks: Iterable[int], gallery: int) -> bool:
        """Whether a query is in the sample; no clock and no chance, so a replay samples alike.

        Args:
            query_ids: Entry ids of the query.
            tracks: Its tracks; each is audited once, since its queries are near-duplicates.
            gallery: Entries now.
        """
        if not self._share or not len(query_ids) or any(track in self._tracks for track in tracks):
            return False
        haste = _HASTE if self._sizing is not None and self._sizing.due(gallery) else 1
        below = round(min(1.0, self._share * haste) * _PARTS)
        return crc32(np.sort(query_ids).tobytes()) % _PARTS < below

    def begin(
        self,
        query: FeatureMaps,
        tracks: Iterable[int],
        k: int,
        ring: Ring,
        similarity: Float32Array,
        allowed: BoolArray,
    ) -> None:
        """Note a sampled query; the gallery of this moment is what it is audited against.

        Args:
            query: Its maps.
            tracks: Its tracks.
            k: Size of the shortlist it got.
            ring: The gallery.
            similarity: Similarity to every slot below `ring.top`.
            allowed: Slots that may appear.
        """
        if len(self._waiting) >= _PENDING:
            self._skipped += 1
            return
        self._tracks |= dict.fromkeys(tracks)
        while len(self._tracks) > _TRACKS:
            del self._tracks[next(iter(self._tracks))]
        slots = np.flatnonzero(allowed)
        order = np.lexsort((ring.entry_id[slots], -similarity[slots]))
        self._waiting.append(_Running(query, k, ring.entry_id[slots[order]]))

    def step(self, ring: Ring, head: FoldedHead) -> None:
        """Score the next slice of the oldest waiting query; cheap when nobody waits."""
        if not self._waiting:
            return
        running = self._waiting[0]
        share = max(1, _SLICE_PAIRS // len(running.query))
        stop = min(running.done + share, len(running.entry_ids))
        live = [
            (place, slot)
            for place in range(running.done, stop)
            for slot in ring.slots_of([running.entry_ids[place]])
        ]
        if live:
            places, slots = zip(*live, strict=True)
            maps = ring.feature_maps(torch.tensor(slots, device=ring.device))
            scores = track_scores(
                running.query,
                [1] * len(slots),
                lambda start, stop: maps.select(slice(start, stop)),
                head,
                rule=self._rule,
                backend=self._backend,
            )
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
        sizing = self._sizing
        return AuditReport(
            audited=self.audited,
            missed=self.missed,
            skipped=self._skipped,
            miss_rate=self.missed / self.audited if self.audited else float("nan"),
            miss_rate_bound=miss_rate_bound(self.missed, self.audited),
            size=0 if sizing is None else sizing.size(0, self._gallery),
            promised_miss_rate=1.0 if sizing is None else sizing.promised_miss_rate,
        )

    def _finish(self, running: _Running) -> None:
        if running.best_place < 0:
            return
        self.audited += 1
        self.missed += running.best_place >= running.k
        if self._sizing is not None:
            self._sizing.note(running.best_place + 1, len(running.entry_ids))
