"""Drawn appearances: simulated visits as a stream of tracklets, without pixels or weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid.evaluation.tracklets import Tracklet
from streamreid.gallery.scorer import Candidates, Embeddings, GalleryEntry, Scores
from streamreid.simulation.network import Visit
from streamreid.types import CameraId, CropKey, Float32Array, TrackKey, UInt8Array

_DIMENSIONS = 64


@dataclass(frozen=True, slots=True)
class Looks:
    """How alike the drawn people look; logits of a calibrated scorer.

    A crop's vector is the unit vector of its clothes, plus what is the person's own (look-alikes
    differ in that), plus what the camera adds for this person (light), plus what this visit adds
    (side, pose), plus what this moment adds. The logit of two tracks is a line over the cosine of
    their mean vectors.

    The defaults give the logits that the `default` weights give tracks of people they did not train
    on (docs/results/networks.md).

    Attributes:
        own: Length of what is a person's own, relative to the clothes.
        camera_noise: Length of what a camera adds.
        visit_noise: Length of what a visit adds.
        crop_noise: Length of what a moment adds.
        gain: Slope of the line from cosine to logit.
        middle: Cosine at which the logit is 0.
    """

    own: float = 0.3
    camera_noise: float = 0.5
    visit_noise: float = 1.02
    crop_noise: float = 0.5
    gain: float = 18.9
    middle: float = 0.416


def tracklets_of_visits(visits: Sequence[Visit], *, crops_per_visit: int = 4) -> list[Tracklet]:
    """The visits as tracklets, by the cameras' own clocks.

    Args:
        visits: Simulated visits.
        crops_per_visit: Crops of each, spread from its first to its last moment.

    Returns:
        Tracklets in order of their start, numbered from 1; the images have names and no pixels.
    """
    ordered = sorted(visits, key=lambda visit: (visit.enter_s, visit.person))
    return [
        Tracklet(
            TrackKey(number),
            visit.camera_id,
            visit.person,
            tuple(np.linspace(visit.enter_s, visit.leave_s, crops_per_visit).tolist()),
            tuple(Path(f"{number:07d}-{crop}") for crop in range(crops_per_visit)),
        )
        for number, visit in enumerate(ordered, 1)
    ]


class DrawnScorer:
    """A `Scorer` of crops whose vectors were drawn; empty at first.

    Args:
        visits: The visits that `tracklets_of_visits` was given.
        looks: How alike people look.
        seed: Draws the vectors.
    """

    def __init__(self, visits: Sequence[Visit], looks: Looks, *, seed: int) -> None:
        self._looks = looks
        self._live: dict[int, tuple[GalleryEntry, Float32Array]] = {}
        self._means: dict[tuple[CropKey, ...], Float32Array] = {}
        self._table: tuple[list[GalleryEntry], Float32Array] | None = None
        rng = np.random.default_rng((seed, 2))
        clothes = _unit(rng.standard_normal((1 + max(v.appearance for v in visits), _DIMENSIONS)))
        own = looks.own * _unit(
            rng.standard_normal((1 + max(v.person for v in visits), _DIMENSIONS))
        )
        in_camera: dict[tuple[int, CameraId], Float32Array] = {}
        self._tracks: list[Float32Array] = []
        for visit in sorted(visits, key=lambda visit: (visit.enter_s, visit.person)):
            key = (visit.person, visit.camera_id)
            if key not in in_camera:
                in_camera[key] = looks.camera_noise * _unit(rng.standard_normal(_DIMENSIONS))
            view = looks.visit_noise * _unit(rng.standard_normal(_DIMENSIONS))
            person = clothes[visit.appearance] + own[visit.person]
            self._tracks.append(person + in_camera[key] + view)
        self._seed = seed

    def vectors(self, tracklet: Tracklet, number: int) -> Embeddings:
        """Embedding of a tracklet's n-th crop; what a moment adds depends on the crop alone."""
        rng = np.random.default_rng((self._seed, int(tracklet.track), number))
        moment = self._looks.crop_noise * _unit(rng.standard_normal(_DIMENSIONS))
        vector = _unit(self._tracks[tracklet.track - 1] + moment)
        return Embeddings((b"",), vector[None, :])

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        """Refused: drawn people have no pixels."""
        raise NotImplementedError(f"{len(crops)} crops: drawn people have no pixels to embed")

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings) -> None:
        """Add entries; an entry id that is already there is left as it is."""
        for entry, vector in zip(entries, embeddings.vectors, strict=True):
            self._live.setdefault(int(entry.entry_id), (entry, vector))
        self._table = None

    def evict(self, *, before_s: float) -> int:
        """Remove every entry captured before `before_s` and return how many."""
        gone = [key for key, (entry, _) in self._live.items() if entry.captured_at_s < before_s]
        return self.remove([CropKey(key) for key in gone])

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        """Remove these entries and return how many were there."""
        if entry_ids:
            self._table = None
            self._means.clear()
        return sum(self._live.pop(int(key), None) is not None for key in entry_ids)

    def candidates(
        self,
        query: Sequence[CropKey],
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """The `k` nearest entries of other tracks by cosine."""
        own = [self._live[int(key)][1] for key in query if int(key) in self._live]
        if not own:
            empty = np.zeros(0, np.int64)
            return Candidates(empty, empty, np.zeros(0, np.float32))
        entries, vectors = self._gallery()
        nearness = (vectors @ np.stack(own).T).max(axis=1)
        banned = set(exclude_tracks)
        order = np.argsort(-nearness, kind="stable")
        best = [
            place
            for place in order.tolist()
            if entries[place].track not in banned and entries[place].captured_at_s < before_s
        ][:k]
        return Candidates(
            np.array([entries[place].entry_id for place in best], np.int64),
            np.array([entries[place].track for place in best], np.int64),
            nearness[best].astype(np.float32),
        )

    def _gallery(self) -> tuple[list[GalleryEntry], Float32Array]:
        """All live entries and their vectors, `(N, D)`."""
        if self._table is None:
            entries = [entry for entry, _ in self._live.values()]
            self._table = entries, np.stack([vector for _, vector in self._live.values()])
        return self._table

    def score(self, query: Sequence[CropKey], groups: Sequence[Sequence[CropKey]]) -> Scores:
        """Calibrated logit of the query track against each group."""
        own = self._mean(query)
        means = [self._mean(group) for group in groups]
        values = np.array(
            [np.nan if own is None or mean is None else own @ mean for mean in means], np.float32
        )
        return Scores(np.float32(self._looks.gain) * (values - np.float32(self._looks.middle)))

    def __len__(self) -> int:
        """Number of live entries."""
        return len(self._live)

    def _mean(self, keys: Sequence[CropKey]) -> Float32Array | None:
        """Mean vector of some entries, of unit length; None when none of them is live."""
        name = tuple(keys)
        if name not in self._means:
            live = [self._live[int(key)][1] for key in keys if int(key) in self._live]
            if len(live) < len(name):
                return _unit(np.mean(live, axis=0)) if live else None
            self._means[name] = _unit(np.mean(live, axis=0))
        return self._means[name]


def _unit(vectors: "np.ndarray[tuple[int, ...], np.dtype[np.floating]]") -> Float32Array:
    """Scale vectors to length 1, float32."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / length, np.float32)
