"""The contract between the engine and whatever scores crops: ids and numbers only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from streamreid.types import (
    CameraId,
    CropKey,
    Float32Array,
    Int64Array,
    TrackKey,
    UInt8Array,
)


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """One crop that is to enter the gallery.

    Attributes:
        entry_id: Row id of the crop in the store.
        camera_id: Camera that saw it.
        track: Row id of its track in the store.
        captured_at_s: Capture time in epoch seconds; age and eviction go by it.
    """

    entry_id: CropKey
    camera_id: CameraId
    track: TrackKey
    captured_at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """What the network made of a batch of crops, ready to insert and to store.

    Attributes:
        maps: Packed feature maps, one bytes object per crop, in the gallery's own storage dtype.
        vectors: Pooled shortlist vectors of unit norm, shape `(N, D)`, float32.
    """

    maps: tuple[bytes, ...]
    vectors: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The gallery entries that are worth exact scoring, best first.

    Attributes:
        entry_ids: Entry ids, shape `(K,)`, int64.
        tracks: Track row id of each, shape `(K,)`, int64.
        similarity: Shortlist similarity, shape `(K,)`, float32; descending.
        partial: True when part of the gallery did not answer.
    """

    entry_ids: Int64Array
    tracks: Int64Array
    similarity: Float32Array
    partial: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """QAConv logits of one query against several groups of entries.

    Attributes:
        score: One logit per group, shape `(G,)`, float32; NaN where no entry of a group is live.
        partial: True when part of the gallery did not answer.
    """

    score: Float32Array
    partial: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """Live entries with what the gallery holds of them.

    Attributes:
        entries: The entries that were live, in the order asked for.
        embeddings: Their maps and vectors.
    """

    entries: tuple[GalleryEntry, ...]
    embeddings: Embeddings


class Scorer(Protocol):
    """One scorer or several shards of it; the engine cannot tell the difference."""

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        """Run the feature network on RGB crops, each `(H, W, 3)` uint8."""

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings) -> None:
        """Add entries; an entry id that is already there is left as it is."""

    def evict(self, *, before_s: float) -> int:
        """Remove every entry captured before `before_s` and return how many."""

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        """Remove these entries (erase, tests) and return how many were there."""

    def candidates(
        self,
        query: Sequence[CropKey],
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """Shortlist for a track given by its live entries: the best `k` entries of other tracks.

        Args:
            query: Entries of the track.
            k: How many; an implementation may name more.
            exclude_tracks: Tracks that must not appear besides its own.
            before_s: Only entries captured before this time, epoch seconds: crops arrive early and
                late, and who is who must not depend on it.
        """

    def score(self, query: Sequence[CropKey], groups: Sequence[Sequence[CropKey]]) -> Scores:
        """Exact multi-shot QAConv logit of the query track against each group."""

    def __len__(self) -> int:
        """Number of live entries."""
