"""Embeds the crops of tracklets once per weights and keeps them on disk for the next replay."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from streamreid.errors import DatasetError
from streamreid.evaluation.features import read_rgb
from streamreid.evaluation.replay import chosen_images
from streamreid.evaluation.tracklets import Tracklet
from streamreid.gallery.scorer import Embeddings, Scorer, Scores
from streamreid.types import CropKey, Float32Array, UInt8Array

_BATCH = 32


class CropCache:
    """Embeddings of the chosen crops of tracklets, by image path.

    Args:
        paths: The images.
        maps: Packed map of each, shape `(N, bytes)`, uint8.
        vectors: Vector of each, shape `(N, D)`, float32.
    """

    def __init__(self, paths: Sequence[Path], maps: UInt8Array, vectors: Float32Array) -> None:
        self._row = {path: number for number, path in enumerate(paths)}
        self._maps = maps
        self._vectors = vectors

    def __call__(self, tracklet: Tracklet, number: int) -> Embeddings:
        """Embedding of a tracklet's n-th image."""
        row = self._row[tracklet.images[number]]
        return Embeddings((self._maps[row].tobytes(),), self._vectors[row : row + 1])


def cache_folder() -> Path:
    """Folder of this machine's cache; outside of any repository."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "streamreid" / "stream"


def embed_crops(
    tracklets: Sequence[Tracklet],
    scorer: Scorer,
    *,
    crops_per_track: int,
    weights_digest: str,
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> CropCache:
    """Embed the crops that a replay will use, or read them from an earlier replay.

    Args:
        tracklets: The tracklets.
        scorer: Its network embeds.
        crops_per_track: Most crops of a tracklet.
        weights_digest: Names the weights; other weights have other files.
        folder: Where the files lie.
        progress: Told after every batch how many crops are done.

    Raises:
        DatasetError: If an image cannot be read.
    """
    paths = sorted(
        {
            tracklet.images[number]
            for tracklet in tracklets
            for number in chosen_images(tracklet, crops_per_track).tolist()
        }
    )
    names = "\n".join(f"{path}:{path.stat().st_size}" for path in paths)
    # The layout of maps and vectors is the scorer's choice: other layouts have other files, too.
    probe = scorer.embed([read_rgb(paths[0])])
    layout = f"{len(probe.maps[0])}:{probe.vectors.shape[1]}"
    key = hashlib.sha256(f"{weights_digest}\n{layout}\n{names}".encode()).hexdigest()[:24]
    file = folder / f"{key}.npz"
    if file.is_file():
        with np.load(file, allow_pickle=False) as archive:
            progress(len(paths))
            return CropCache(paths, archive["maps"], archive["vectors"])
    maps: list[UInt8Array] = []
    vectors: list[Float32Array] = []
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        found = scorer.embed([read_rgb(path) for path in batch])
        maps.extend(np.frombuffer(one, np.uint8) for one in found.maps)
        vectors.append(found.vectors.astype(np.float32))
        progress(len(batch))
    if len({len(one) for one in maps}) != 1:
        raise DatasetError("the feature maps of the crops differ in size; use one set of weights")
    cache = CropCache(paths, np.stack(maps), np.concatenate(vectors))
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part.npz")
    np.savez(part, maps=cache._maps, vectors=cache._vectors)
    part.replace(file)
    return cache


class RememberingScorer:
    """A scorer that never computes a score twice: replays of one stream share most of them.

    Args:
        scorer: The real one.
        memory: Scores by query and group, shared between replays of the same tracklets.
    """

    def __init__(
        self,
        scorer: Scorer,
        memory: dict[tuple[tuple[CropKey, ...], tuple[CropKey, ...]], float],
    ) -> None:
        self._scorer = scorer
        self._memory = memory
        self.embed = scorer.embed
        self.insert = scorer.insert
        self.evict = scorer.evict
        self.remove = scorer.remove
        self.candidates = scorer.candidates

    def __len__(self) -> int:
        return len(self._scorer)

    def score(self, query: Sequence[CropKey], groups: Sequence[Sequence[CropKey]]) -> Scores:
        """Remembered scores, and exact ones for what was never asked."""
        own = tuple(query)
        keys = [(own, tuple(group)) for group in groups]
        unknown = [key for key in keys if key not in self._memory]
        if unknown:
            found = self._scorer.score(query, [key[1] for key in unknown]).score
            for key, value in zip(unknown, found.tolist(), strict=True):
                if not np.isnan(value):
                    self._memory[key] = value
                    self._memory[key[1], own] = value
        return Scores(np.array([self._memory.get(key, np.nan) for key in keys], np.float32))
