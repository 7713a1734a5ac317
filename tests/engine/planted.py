"""A deterministic scorer that scores from planted vectors, and walks of people with known truth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from streamreid.engine.events import CropAdded, TrackClosed, TrackSeen
from streamreid.gallery.scorer import Candidates, Embeddings, GalleryEntry, Scores
from streamreid.types import (
    CameraId,
    CropKey,
    Float32Array,
    TrackKey,
    UInt8Array,
)

GAIN = 16.0
MIDDLE = 0.6


@dataclass
class PlantedScorer:
    """Scores pairs of entries by the cosine of vectors that the test planted."""

    vectors: dict[int, Float32Array]
    live: dict[int, GalleryEntry] = field(default_factory=dict)
    means: dict[tuple[CropKey, ...], Float32Array] = field(default_factory=dict)

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        raise NotImplementedError("planted vectors need no crops")

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings | None = None) -> None:
        for entry in entries:
            self.live.setdefault(int(entry.entry_id), entry)

    def evict(self, *, before_s: float) -> int:
        gone = [key for key, entry in self.live.items() if entry.captured_at_s < before_s]
        for key in gone:
            del self.live[key]
        return len(gone)

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        return sum(self.live.pop(int(key), None) is not None for key in entry_ids)

    def candidates(
        self,
        query: Sequence[CropKey],
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        own = set(exclude_tracks)
        others = sorted(
            key
            for key, entry in self.live.items()
            if entry.track not in own and entry.captured_at_s < before_s
        )
        if not others or not query:
            empty = np.zeros(0, np.int64)
            return Candidates(empty, empty, np.zeros(0, np.float32))
        gallery = np.stack([self.vectors[key] for key in others])
        similarity = (gallery @ np.stack([self.vectors[int(key)] for key in query]).T).max(axis=1)
        order = np.argsort(-similarity, kind="stable")[:k]
        ids = np.array(others)[order]
        tracks = np.array([self.live[int(key)].track for key in ids])
        return Candidates(ids, tracks, similarity[order].astype(np.float32))

    def score(self, query: Sequence[CropKey], groups: Sequence[Sequence[CropKey]]) -> Scores:
        mean = self._mean(query)
        values = [
            GAIN * (self._mean(group) @ mean - MIDDLE)
            if all(int(key) in self.live for key in group)
            else np.nan
            for group in groups
        ]
        return Scores(np.array(values, dtype=np.float32))

    def _mean(self, keys: Sequence[CropKey]) -> Float32Array:
        crops = tuple(keys)
        if crops not in self.means:
            self.means[crops] = np.mean([self.vectors[int(key)] for key in crops], axis=0)
        return self.means[crops]

    def __len__(self) -> int:
        return len(self.live)


@dataclass(frozen=True)
class Walk:
    """One track with known truth; `look` turns the person, in degrees: 0 is the front."""

    track: int
    person: int
    camera: str
    started_at_s: float
    ended_at_s: float
    crops: int = 2
    look: float = 0.0


@dataclass
class Scene:
    """Walks, the vectors of their crops and the events they cause."""

    walks: list[Walk]
    noise: float = 0.05
    seed: int = 0
    vectors: dict[int, Float32Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        people = np.eye(64, dtype=np.float32)
        for walk in self.walks:
            for number in range(walk.crops):
                angle = np.deg2rad(walk.look)
                side = people[63 - walk.person]
                person = np.cos(angle) * people[walk.person] + np.sin(angle) * side
                vector = person + self.noise * rng.standard_normal(64)
                self.vectors[self.entry(walk, number)] = (vector / np.linalg.norm(vector)).astype(
                    np.float32
                )

    @staticmethod
    def entry(walk: Walk, number: int) -> int:
        """Entry id of a crop of a walk."""
        return walk.track * 100 + number

    @staticmethod
    def seen_times_s(walk: Walk) -> list[float]:
        """When a walk was seen, the last time in every second but its last."""
        times = np.arange(walk.started_at_s, walk.ended_at_s, 0.3)
        return [float(time) for time in times if int(time + 0.3) > int(time)]

    def scorer(self) -> PlantedScorer:
        """A fresh, empty scorer that knows the vectors."""
        return PlantedScorer(self.vectors)

    def events(self, walk: Walk) -> list[CropAdded | TrackSeen | TrackClosed]:
        """Everything one walk reports, in order."""
        times = np.linspace(walk.started_at_s, walk.ended_at_s, walk.crops)
        camera = CameraId(walk.camera)
        key = TrackKey(walk.track)
        found: list[CropAdded | TrackSeen | TrackClosed] = [
            CropAdded(
                key,
                camera,
                CropKey(self.entry(walk, number)),
                float(time_s),
                walk.started_at_s,
                0.5,
            )
            for number, time_s in enumerate(times)
        ]
        found += [
            TrackSeen(key, camera, walk.started_at_s, time_s)
            for time_s in (*self.seen_times_s(walk), walk.ended_at_s)
        ]
        found.append(TrackClosed(key, camera, walk.started_at_s, walk.ended_at_s, "left"))
        return found

    def entries(self, event: CropAdded) -> GalleryEntry:
        """The gallery entry that belongs to an event."""
        return GalleryEntry(event.entry_id, event.camera_id, event.track, event.captured_at_s)
