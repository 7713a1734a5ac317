"""The scorer of one process: network, rolling gallery, shortlist and exact scoring together."""

from collections.abc import Sequence

import numpy as np
import torch

from streamreid.gallery.codec import decode_maps, encode_maps
from streamreid.gallery.ring import Ring
from streamreid.gallery.scorer import Candidates, Embeddings, Fetched, GalleryEntry, Scores
from streamreid.gallery.shortlist import pooled_vectors, search
from streamreid.reid.extract import FeatureExtractor
from streamreid.reid.matching import FeatureMaps, match_scores
from streamreid.reid.qaconv import FoldedHead
from streamreid.reid.weight_file import Calibration
from streamreid.types import CropKey, Float32Array, TrackKey, UInt8Array

# Maps gathered at once for exact scoring: 256 maps of 24x8x128 int8 are 6 MB.
_GATHER = 256


class LocalScorer:
    """Implements `Scorer` on one device.

    Args:
        extractor: Crops in, feature maps out.
        head: Folded QAConv head of the same weights.
        ring: Where entries live; its layout fixes the storage dtype.
        exact: Leave the shortlist out: every entry of another track is a candidate.
        max_age_s: Age limit that `expire` uses, seconds.
        weights_digest: Digest of the weights that made the maps.
        calibration: From the logit to a probability, as shipped with the weights.

    Attributes:
        description: Back-ends, dtypes and sizes, for the record of a run.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        head: FoldedHead,
        ring: Ring,
        *,
        exact: bool = False,
        max_age_s: float = float("inf"),
        weights_digest: str = "",
        calibration: Calibration | None = None,
    ) -> None:
        self.extractor = extractor
        self.head = head
        self.ring = ring
        self.exact = exact
        self.max_age_s = max_age_s
        self.weights_digest = weights_digest
        self.calibration = calibration

    @property
    def description(self) -> dict[str, str | int | float | bool]:
        """Back-ends, dtypes and sizes, for the record of a run."""
        layout = self.ring.layout
        return {
            "device": str(self.ring.device),
            "features": self.extractor.name,
            "map_dtype": str(layout.map_dtype).removeprefix("torch."),
            "vector_dtype": str(layout.vector_dtype).removeprefix("torch."),
            "bytes_per_crop": layout.bytes_per_crop,
            "max_crops": self.ring.capacity,
            "max_age_s": self.max_age_s,
            "exact": self.exact,
            "weights_digest": self.weights_digest,
        }

    def __len__(self) -> int:
        """Number of live entries."""
        return len(self.ring)

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        """Run the feature network on RGB crops, each `(H, W, 3)` uint8."""
        if not crops:
            return Embeddings((), np.zeros((0, self.ring.layout.vector_size), np.float32))
        maps = self.extractor(crops)
        packed = FeatureMaps.pack(maps, dtype=self.ring.layout.map_dtype)
        return Embeddings(encode_maps(packed), pooled_vectors(maps).cpu().numpy())

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings) -> None:
        """Add entries; an entry id that is already there is left as it is."""
        if len(entries) != len(embeddings.maps):
            raise ValueError(f"{len(entries)} entries came with {len(embeddings.maps)} maps")
        if entries:
            maps = decode_maps(embeddings.maps, self.ring.layout.map_dtype)
            self.ring.insert(entries, maps, torch.from_numpy(np.array(embeddings.vectors)))

    def restore(
        self, entries: Sequence[GalleryEntry], maps: Sequence[bytes], vectors: Float32Array
    ) -> int:
        """Fill the gallery from what the store kept; of too many the newest stay.

        Args:
            entries: Entries in any order.
            maps: Their maps as `embed` gave them; another storage dtype is converted.
            vectors: Their vectors, shape `(N, D)`.

        Returns:
            Number of live entries afterwards.
        """
        self.insert(entries, Embeddings(tuple(maps), vectors))
        return len(self)

    def evict(self, *, before_s: float) -> int:
        """Remove every entry captured before `before_s` and return how many."""
        return self.ring.evict(before_s=before_s)

    def expire(self, now_s: float) -> int:
        """Remove what is older than the age limit at event time `now_s` and return how many."""
        return self.evict(before_s=now_s - self.max_age_s) if np.isfinite(self.max_age_s) else 0

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        """Remove these entries (erase, tests) and return how many were there."""
        return self.ring.remove(entry_ids)

    def candidates(
        self, query: Sequence[CropKey], k: int, *, exclude_tracks: Sequence[TrackKey] = ()
    ) -> Candidates:
        """Shortlist for a track given by its live entries: the best `k` entries of other tracks.

        Without a shortlist (`exact`) every entry of another track is returned, whatever `k` is.
        """
        slots = self.ring.slots_of(query)
        own = {TrackKey(int(track)) for track in self.ring.track[slots]}
        vectors = self.ring.vectors[slots].float().cpu().numpy()
        return self.candidates_of(vectors, k, exclude_tracks=(*own, *exclude_tracks))

    def candidates_of(
        self, vectors: Float32Array, k: int, *, exclude_tracks: Sequence[TrackKey] = ()
    ) -> Candidates:
        """Shortlist for query vectors `(m, D)` that need not be in this gallery."""
        ring, top = self.ring, self.ring.top
        if not len(vectors) or not top:
            return Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        allowed = ring.entry_id[:top] >= 0
        if exclude_tracks:
            allowed &= ~np.isin(ring.track[:top], np.asarray(exclude_tracks, np.int64))
        slots, similarity = search(
            ring.vectors[:top],
            torch.from_numpy(vectors).to(ring.device),
            len(self) if self.exact else k,
            allowed=allowed,
            entry_id=ring.entry_id[:top],
        )
        return Candidates(ring.entry_id[slots], ring.track[slots], similarity)

    def score(self, query: Sequence[CropKey], groups: Sequence[Sequence[CropKey]]) -> Scores:
        """Exact multi-shot QAConv logit of the query track against each group."""
        slots = self.ring.slots_of(query)
        maps = self.ring.feature_maps(torch.tensor(slots, dtype=torch.int64))
        return Scores(self._group_scores(maps, groups))

    def score_of(self, query: Sequence[bytes], groups: Sequence[Sequence[CropKey]]) -> Float32Array:
        """Logits of query maps that need not be in this gallery, NaN for groups without live entry.

        Args:
            query: Maps as `embed` and `fetch` give them, at least one.
            groups: Entry ids; those that are not live here are left out.
        """
        maps = decode_maps(query, self.ring.layout.map_dtype).to(self.ring.device)
        return self._group_scores(maps, groups)

    def fetch(self, entry_ids: Sequence[CropKey]) -> Fetched:
        """What the gallery holds of these entries; those that are not live are left out."""
        slots = self.ring.slots_of(entry_ids)
        maps = encode_maps(self.ring.feature_maps(torch.tensor(slots, dtype=torch.int64)))
        vectors = self.ring.vectors[slots].float().cpu().numpy()
        return Fetched(tuple(self.ring.entries(slots)), Embeddings(maps, vectors))

    def _group_scores(
        self, query: FeatureMaps, groups: Sequence[Sequence[CropKey]]
    ) -> Float32Array:
        members = [self.ring.slots_of(group) for group in groups]
        score = np.full(len(groups), np.nan, np.float32)
        if not len(query):
            return score
        slots = sorted({slot for group in members for slot in group})
        per_entry = self._mean_over_query(query, slots)
        position = {slot: index for index, slot in enumerate(slots)}
        for index, group in enumerate(members):
            if group:
                score[index] = per_entry[[position[slot] for slot in group]].mean()
        return score

    def _mean_over_query(self, query: FeatureMaps, slots: Sequence[int]) -> Float32Array:
        """Mean logit over the query's crops for each slot, shape `(len(slots),)`."""
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(slots), _GATHER):
            chosen = torch.tensor(slots[start : start + _GATHER])
            logits = match_scores(query, self.ring.feature_maps(chosen), self.head)
            parts.append(logits.mean(dim=0).cpu().numpy())
        return np.concatenate(parts)
