"""The scorer of one process: network, rolling gallery, shortlist and exact scoring together."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from streamreid.gallery.audit import ShortlistAudit
from streamreid.gallery.codec import decode_maps, encode_maps
from streamreid.gallery.ring import Ring
from streamreid.gallery.scorer import Candidates, Embeddings, Fetched, GalleryEntry, Scores
from streamreid.gallery.shortlist import (
    BoolArray,
    SearchResult,
    pooled_vectors,
    search,
    similarities,
)
from streamreid.gallery.sizing import ShortlistSize
from streamreid.reid.extract import FeatureExtractor
from streamreid.reid.matching import FeatureMaps, backend_for
from streamreid.reid.multishot import DEFAULT_RULE, MultiShot, track_scores
from streamreid.reid.qaconv import FoldedHead
from streamreid.reid.weight_file import Calibration
from streamreid.types import CropKey, Float32Array, TrackKey, UInt8Array


class LocalScorer:
    """Implements `Scorer` on one device.

    Args:
        extractor: Crops in, feature maps out.
        head: Folded QAConv head of the same weights.
        ring: Where entries live; its layout fixes the storage dtype.
        exact: Leave the shortlist out: every entry of another track is a candidate.
        rule: How the crops of two tracks are combined into one logit.
        backend: Matching back-end, "auto" or one of `streamreid.reid.matching.backends`.
        audited_share: Share of the queries whose shortlist is checked by scoring everything.
        miss_rate: Share of the queries that may lose their best entry: shortlists then grow with
            the gallery as the audits demand. None gives what is asked for, always.
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
        rule: MultiShot = DEFAULT_RULE,
        backend: str = "auto",
        audited_share: float = 0.01,
        miss_rate: float | None = None,
        max_age_s: float = float("inf"),
        weights_digest: str = "",
        calibration: Calibration | None = None,
    ) -> None:
        self.extractor = extractor
        self.head = head
        self.ring = ring
        self.exact = exact
        self.rule: MultiShot = rule
        self.backend = backend
        self.miss_rate = miss_rate
        self.audit = ShortlistAudit(
            0.0 if exact else audited_share,
            sizing=None if miss_rate is None else ShortlistSize(miss_rate),
            rule=rule,
            backend=backend,
        )
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
            "shortlist_miss_rate": self.miss_rate if self.miss_rate is not None else "as asked",
            "multi_shot": self.rule,
            "search": "matrix product" if self.ring.index is None else self.ring.index.name,
            "matching": backend_for(self.ring.maps[:0], self.backend),
            "weights_digest": self.weights_digest,
        }

    def empty_copy(self) -> "LocalScorer":
        """A scorer of the same weights with an empty gallery of the same size."""
        return LocalScorer(
            self.extractor,
            self.head,
            Ring(self.ring.layout, self.ring.capacity, self.ring.device),
            exact=self.exact,
            rule=self.rule,
            backend=self.backend,
            audited_share=0.0,
            max_age_s=self.max_age_s,
            weights_digest=self.weights_digest,
            calibration=self.calibration,
        )

    def __len__(self) -> int:
        """Number of live entries."""
        return len(self.ring)

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        """Run the feature network on RGB crops, each `(H, W, 3)` uint8."""
        if not crops:
            return Embeddings((), np.zeros((0, self.ring.layout.vector_size), np.float32))
        maps = self.extractor(crops)
        packed = FeatureMaps.pack(maps, dtype=self.ring.layout.map_dtype)
        # The store keeps vectors in float16: round now, so that a restart changes nothing.
        vectors = pooled_vectors(maps).half().float()
        return Embeddings(encode_maps(packed), vectors.cpu().numpy())

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
        self,
        query: Sequence[CropKey],
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """Shortlist for a track given by its live entries: the best `k` entries of other tracks.

        More than `k` come back where `miss_rate` needs them. Without a shortlist (`exact`) every
        entry of another track is returned, whatever `k` is.
        """
        slots = self.ring.slots_of(query)
        own = {TrackKey(int(track)) for track in self.ring.track[slots]}
        vectors = self.ring.vectors[slots].float()
        allowed = self._allowed((*own, *exclude_tracks), before_s)
        k = self.audit.size(k, len(self))
        found = self._search(vectors, k, allowed)
        self.audit.step(self.ring, self.head)
        ids = self.ring.entry_id[slots]
        if found is not None and not self.exact and self.audit.wants(ids, own, len(self)):
            maps = self.ring.feature_maps(torch.tensor(slots))
            coarse = found.coarse
            if coarse is None:
                coarse = similarities(self.ring.vectors[: self.ring.top], vectors)
            self.audit.begin(maps, own, k, self.ring, coarse, allowed)
        return self._named(found)

    def candidates_of(
        self,
        vectors: Float32Array,
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """Shortlist for query vectors `(m, D)` that need not be in this gallery."""
        query = torch.from_numpy(vectors).to(self.ring.device)
        return self._named(self._search(query, k, self._allowed(exclude_tracks, before_s)))

    def _search(self, vectors: Tensor, k: int, allowed: BoolArray) -> SearchResult | None:
        ring, top = self.ring, self.ring.top
        if not len(vectors) or not top:
            return None
        return search(
            ring.vectors[:top],
            vectors,
            len(self) if self.exact else k,
            allowed=allowed,
            entry_id=ring.entry_id[:top],
            index=None if self.exact else ring.index,
        )

    def _allowed(self, exclude_tracks: Sequence[TrackKey], before_s: float) -> BoolArray:
        ring, top = self.ring, self.ring.top
        allowed = (ring.entry_id[:top] >= 0) & (ring.time_s[:top] < before_s)
        for track in set(exclude_tracks):
            allowed &= ring.track[:top] != track
        return allowed

    def _named(self, found: SearchResult | None) -> Candidates:
        if found is None:
            return Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        rows = found.rows
        return Candidates(self.ring.entry_id[rows], self.ring.track[rows], found.similarity)

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

    def score_apart(self, query: Sequence[bytes], group: Sequence[bytes]) -> float:
        """Logit of query maps against one group of maps; neither need be in this gallery."""
        ours, theirs = (
            decode_maps(maps, self.ring.layout.map_dtype).to(self.ring.device)
            for maps in (query, group)
        )
        return float(
            track_scores(
                ours,
                [len(theirs)],
                lambda start, stop: theirs.select(slice(start, stop)),
                self.head,
                rule=self.rule,
                backend=self.backend,
            )
        )

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
        if not len(query):
            return np.full(len(groups), np.nan, np.float32)
        slots = torch.tensor([slot for group in members for slot in group], dtype=torch.int64)
        scores: Float32Array = track_scores(
            query,
            [len(group) for group in members],
            lambda start, stop: self.ring.feature_maps(slots[start:stop].to(self.ring.device)),
            self.head,
            rule=self.rule,
            backend=self.backend,
        ).numpy()
        return scores
