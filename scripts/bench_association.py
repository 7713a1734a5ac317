"""What deciding costs: engine time per track and per second, without scoring, as a run grows old.

    python scripts/bench_association.py --cameras 20 --tracks-per-s 2 --minutes 60

Tracks of a drawn crowd enter at random; scores come from a table, so that only the engine is timed.
"""

import argparse
import json
import math
import platform
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from streamreid.association.calibration import DecisionModel, DecisionModels
from streamreid.engine.coefficients import Coefficients
from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded, TrackClosed, TrackSeen
from streamreid.engine.inbox import event_time_s
from streamreid.engine.settings import EngineSettings
from streamreid.gallery.scorer import Candidates, Embeddings, GalleryEntry, Scores
from streamreid.types import CameraId, CropKey, TrackKey, UInt8Array

_CROPS = 4
_TRACK_S = 8.0
_NEIGHBOURS = 40
_WAVE_S = 300.0


class TableScorer:
    """Scores by who the tracks are; counts its own time so that it can be taken off."""

    def __init__(self, person: np.ndarray, seed: int) -> None:
        self._person = person
        self._rng = np.random.default_rng(seed)
        self._recent: list[int] = []
        self.seconds = 0.0

    def embed(self, crops: list[UInt8Array]) -> Embeddings:
        """Not used."""
        raise NotImplementedError

    def insert(self, entries: list[GalleryEntry], embeddings: Embeddings | None = None) -> None:
        """Remember the latest tracks."""
        for entry in entries:
            if entry.track not in self._recent[-200:]:
                self._recent.append(int(entry.track))

    def evict(self, *, before_s: float) -> int:
        """Nothing to do."""
        return 0

    def remove(self, entry_ids: list[CropKey]) -> int:
        """Nothing to do."""
        return 0

    def candidates(
        self,
        query: list[CropKey],
        k: int,
        *,
        exclude_tracks: tuple[TrackKey, ...] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """Tracks of the same person, then some others of the last minutes."""
        began = time.perf_counter()
        own = int(query[0]) // _CROPS
        recent = np.array([track for track in self._recent[-3000:] if track != own])
        if len(recent) == 0:
            empty = np.zeros(0, np.int64)
            return Candidates(empty, empty, np.zeros(0, np.float32))
        same = recent[self._person[recent] == self._person[own]][-8:]
        others = self._rng.choice(recent, size=min(_NEIGHBOURS, len(recent)), replace=False)
        tracks = np.concatenate([same, np.setdiff1d(others, same)])[:k]
        self.seconds += time.perf_counter() - began
        return Candidates(tracks * _CROPS, tracks, np.ones(len(tracks), np.float32))

    def score(self, query: list[CropKey], groups: list[list[CropKey]]) -> Scores:
        """High for one person, low for two, with noise that depends on the pair only."""
        began = time.perf_counter()
        own = int(query[0]) // _CROPS
        others = np.array([int(group[0]) // _CROPS for group in groups])
        noise = ((own * 7919 + others * 7919) % 1000) / 250.0 - 2.0
        score = np.where(self._person[others] == self._person[own], 2.0, -6.0) + noise
        self.seconds += time.perf_counter() - began
        return Scores(score.astype(np.float32))

    def __len__(self) -> int:
        return len(self._recent)


@dataclass(frozen=True)
class Sample:
    """One stretch of the run."""

    minute: float
    ms_per_track: float
    core_share: float
    tracks_held: int
    memory_mib: float


def settings_of(max_age_s: float) -> EngineSettings:
    """Both time terms and re-ranking on, as with fitted weights."""
    model = DecisionModel(-4.0, 0.4, 0.5, 0.8, 8.0)
    coefficients = Coefficients(models=DecisionModels(model, model, model, model))
    return coefficients.settings("full", max_age_s=max_age_s, lag_s=60.0)


def main() -> int:
    """Drive the engine and print one line per stretch of time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--tracks-per-s", type=float, default=2.0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--stretch-minutes", type=float, default=10.0)
    parser.add_argument(
        "--sightings", type=float, default=12.0, help="mean tracks per person; 1: all are strangers"
    )
    parser.add_argument("--max-age-s", type=float, default=EngineSettings().max_age_s)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    count = int(args.tracks_per_s * args.minutes * 60)
    starts = np.sort(rng.uniform(0, args.minutes * 60, count))
    # People come in waves of 300 s and are seen several times each, as on a site with loops.
    people = max(round(args.tracks_per_s * _WAVE_S / args.sightings), 1)
    person = (starts // _WAVE_S).astype(int) * people + rng.integers(0, people, count)
    person = np.concatenate([[-1], person])
    scorer = TableScorer(person, 1)
    engine = Engine(scorer, settings=settings_of(args.max_age_s))
    events: list[CropAdded | TrackSeen | TrackClosed] = []
    for number, start_s in enumerate(starts.tolist(), 1):
        camera = CameraId(f"cam{int(rng.integers(args.cameras)):02d}")
        key = TrackKey(number)
        for crop in range(_CROPS):
            at_s = start_s + crop * _TRACK_S / _CROPS
            entry = CropKey(number * _CROPS + crop)
            events.append(CropAdded(key, camera, entry, at_s, start_s, 0.5))
        events.append(TrackClosed(key, camera, start_s, start_s + _TRACK_S, "left"))
    events.sort(key=event_time_s)
    stretch_s = args.stretch_minutes * 60
    began, scored, tracks, border = time.process_time(), 0.0, 0, stretch_s
    samples: list[Sample] = []
    print(
        f"{args.cameras} cameras, {args.tracks_per_s} tracks/s, {args.sightings} tracks a person; "
        "engine only, scoring taken off"
    )
    for event in events:
        now_s = event_time_s(event)
        if isinstance(event, CropAdded):
            scorer.insert([GalleryEntry(event.entry_id, event.camera_id, event.track, now_s)])
        engine.observe(event, now_s)
        tracks += isinstance(event, TrackClosed)
        if now_s >= border:
            spent = time.process_time() - began - (scorer.seconds - scored)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            sample = Sample(
                border / 60, 1000 * spent / max(tracks, 1), spent / stretch_s, len(engine), memory
            )
            samples.append(sample)
            print(
                f"minute {sample.minute:5.0f}: {sample.ms_per_track:6.1f} ms per track, "
                f"{100 * sample.core_share:5.1f} % of a core, {sample.tracks_held:6d} tracks held, "
                f"{sample.memory_mib:6.0f} MiB",
                flush=True,
            )
            if args.json is not None:
                write(args.json, args, samples)
            began, scored, tracks = time.process_time(), scorer.seconds, 0
            border += stretch_s
    return 0


def write(path: Path, args: argparse.Namespace, samples: list[Sample]) -> None:
    """Write the figures so far, with what they were measured on."""
    figures = {
        "cameras": args.cameras,
        "tracks_per_s": args.tracks_per_s,
        "sightings": args.sightings,
        "max_age_s": args.max_age_s,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "samples": [asdict(sample) for sample in samples],
    }
    path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
