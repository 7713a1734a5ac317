"""Several scorers that answer like one: the gallery is split by track, a dead part is marked."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from streamreid.errors import StreamreidError
from streamreid.gallery.scorer import Candidates, Embeddings, Fetched, GalleryEntry, Scores
from streamreid.types import CropKey, Float32Array, TrackKey, UInt8Array

Answer = TypeVar("Answer")


class ShardError(StreamreidError):
    """A shard did not answer; the rest of the gallery goes on without it."""


class Shard(Protocol):
    """One part of a sharded gallery; every method may raise `ShardError`."""

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        """As in `Scorer`."""

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings) -> None:
        """As in `Scorer`."""

    def evict(self, *, before_s: float) -> int:
        """As in `Scorer`."""

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        """As in `Scorer`."""

    def fetch(self, entry_ids: Sequence[CropKey]) -> Fetched:
        """What this part holds of the entries."""

    def candidates_of(
        self,
        vectors: Float32Array,
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """Best entries of this part for query vectors `(m, D)`."""

    def score_of(self, query: Sequence[bytes], groups: Sequence[Sequence[CropKey]]) -> Float32Array:
        """Logits of query maps against groups, NaN where this part has no live entry of a group."""

    def score_apart(self, query: Sequence[bytes], group: Sequence[bytes]) -> float:
        """Logit of query maps against maps of which neither need be in this part."""

    def __len__(self) -> int:
        """Number of live entries of this part."""


class ShardedScorer:
    """Implements `Scorer` over several shards.

    A track lives on the shard `track % number of shards`, so that a query costs one exchange of its
    few maps with every shard and no feature map of the gallery ever moves.

    Args:
        shards: At least one; their number must not change while the gallery lives.
        exact: The shards leave their shortlists out; every candidate is then returned.

    Attributes:
        missed_inserts: Entries that had no place because their shard was dead; a shard that comes
            back is filled again from the store.
    """

    def __init__(self, shards: Sequence[Shard], *, exact: bool = False) -> None:
        if not shards:
            raise ValueError("a sharded scorer needs at least one shard")
        self._shards = tuple(shards)
        self._exact = exact
        self.missed_inserts = 0

    def __len__(self) -> int:
        """Number of live entries on the shards that answer."""
        return sum(self._ask(len))

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        """Run the feature network of the first shard that answers.

        Raises:
            ShardError: If none does.
        """
        for shard in self._shards:
            try:
                return shard.embed(crops)
            except ShardError:
                continue
        raise ShardError(f"none of {len(self._shards)} gallery shards answers; restart the scorers")

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings) -> None:
        """Add entries, each to the shard of its track."""
        if len(entries) != len(embeddings.maps):
            raise ValueError(f"{len(entries)} entries came with {len(embeddings.maps)} maps")
        for number, shard in enumerate(self._shards):
            rows = [i for i, e in enumerate(entries) if e.track % len(self._shards) == number]
            if not rows:
                continue
            part = Embeddings(tuple(embeddings.maps[row] for row in rows), embeddings.vectors[rows])
            try:
                shard.insert([entries[row] for row in rows], part)
            except ShardError:
                self.missed_inserts += len(rows)

    def evict(self, *, before_s: float) -> int:
        """Remove every entry captured before `before_s` and return how many."""
        return sum(self._ask(lambda shard: shard.evict(before_s=before_s)))

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        """Remove these entries and return how many were there."""
        return sum(self._ask(lambda shard: shard.remove(entry_ids)))

    def candidates(
        self,
        query: Sequence[CropKey],
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """Merge the shortlists of all shards; partial when a shard is dead."""
        found = self._ask(lambda shard: shard.fetch(query))
        entries, embeddings = _joined(query, found)
        excluded = (*{entry.track for entry in entries}, *exclude_tracks)
        parts = self._ask(
            lambda shard: shard.candidates_of(
                embeddings.vectors, k, exclude_tracks=excluded, before_s=before_s
            )
        )
        partial = len(parts) < len(self._shards) or any(part.partial for part in parts)
        return _merged(parts, None if self._exact else k, partial=partial)

    def score(self, query: Sequence[CropKey], groups: Sequence[Sequence[CropKey]]) -> Scores:
        """Exact multi-shot QAConv logit of the query track against each group."""
        found = self._ask(lambda shard: shard.fetch(query))
        _, embeddings = _joined(query, found)
        score = np.full(len(groups), np.nan, np.float32)
        partial = len(found) < len(self._shards)
        if not embeddings.maps:
            return Scores(score, partial)
        parts = self._ask(lambda shard: shard.score_of(embeddings.maps, groups))
        partial = partial or len(parts) < len(self._shards)
        answers = np.stack(parts) if parts else score[None]
        for index, group in enumerate(groups):
            values = answers[:, index][~np.isnan(answers[:, index])]
            if len(values) == 1:
                score[index] = values[0]
            elif len(values) > 1:
                score[index] = self._score_apart(embeddings.maps, group)
        return Scores(score, partial)

    def _score_apart(self, query: Sequence[bytes], group: Sequence[CropKey]) -> float:
        """Score a group whose tracks lie on several shards: its few maps are brought together."""
        _, embeddings = _joined(group, self._ask(lambda shard: shard.fetch(group)))
        for shard in self._shards:
            try:
                return shard.score_apart(query, embeddings.maps)
            except ShardError:
                continue
        return float("nan")

    def _ask(self, question: Callable[[Shard], Answer]) -> list[Answer]:
        """Answers of the shards that are alive, in their order."""
        answers = []
        for shard in self._shards:
            try:
                answers.append(question(shard))
            except ShardError:
                continue
        return answers


def _joined(
    query: Sequence[CropKey], found: Sequence[Fetched]
) -> tuple[list[GalleryEntry], Embeddings]:
    """Bring what the shards hold of the query into the query's order."""
    rows = {
        entry.entry_id: (entry, part.embeddings.maps[row], part.embeddings.vectors[row])
        for part in found
        for row, entry in enumerate(part.entries)
    }
    chosen = [rows[entry_id] for entry_id in query if entry_id in rows]
    vectors = np.stack([row[2] for row in chosen]) if chosen else np.zeros((0, 0), np.float32)
    return [row[0] for row in chosen], Embeddings(tuple(row[1] for row in chosen), vectors)


def _merged(parts: Sequence[Candidates], k: int | None, *, partial: bool) -> Candidates:
    """The best `k` of all shards, best first, ties by smaller entry id."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Candidates(none, none, np.zeros(0, np.float32), partial)
    entry_ids = np.concatenate([part.entry_ids for part in parts])
    tracks = np.concatenate([part.tracks for part in parts])
    similarity = np.concatenate([part.similarity for part in parts])
    order = np.lexsort((entry_ids, -similarity))[:k]
    return Candidates(entry_ids[order], tracks[order], similarity[order], partial)
