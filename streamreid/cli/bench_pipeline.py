"""What this machine can do: cameras, people and gallery, and which step is the bottleneck."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from streamreid.cli.bench_gallery import filled_scorer, query_times_ms, room_for_crops
from streamreid.cli.bench_table import Table, Value
from streamreid.cli.bench_timing import Clock, clock_for
from streamreid.clock import SystemClock
from streamreid.detection.select import load_detector
from streamreid.gallery.build import choose_storage
from streamreid.reid.extract import FeatureExtractor, choose_runner
from streamreid.reid.memory import free_bytes
from streamreid.reid.weights import load_model
from streamreid.simulation.demo_scene import demo_scene, short_scene
from streamreid.simulation.recording import record_scene
from streamreid.types import CameraId, Frame
from streamreid.video.source import open_source

_FRAMES = 50


@dataclass(frozen=True, slots=True)
class Load:
    """What one camera asks for.

    Attributes:
        fps: Frames decoded per second.
        detect_fps: Detections per second.
        people: People in view; each is embedded and looked up once a second.
        gallery: Crops in the gallery.
        shortlist: Crops scored exactly per query.
    """

    fps: float = 25.0
    detect_fps: float = 5.0
    people: float = 5.0
    gallery: int = 20_000
    shortlist: int = 100


@dataclass(frozen=True, slots=True)
class Step:
    """What one step costs.

    Attributes:
        each_ms: Milliseconds each time.
        rate: Times per second for one camera.
        unit: What it keeps busy, "cores" or "GPU".
    """

    each_ms: float
    rate: float
    unit: str = "cores"

    @property
    def busy_ms(self) -> float:
        """Milliseconds of its unit per second and camera."""
        return self.each_ms * self.rate


def pipeline_table(
    load: Load,
    *,
    cores: int,
    video: Path | None = None,
    detector: str = "auto",
    detector_weights: str = "yolo26n.pt",
    weights: str = "default",
    device: str = "cpu",
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """Measure every step on one thread and say how many cameras the machine will hold.

    Args:
        load: What one camera asks for.
        cores: Cores of the machine.
        video: A clip like those of the cameras; a drawn one if None.
        detector: Kind of detector: auto, yolo or motion.
        detector_weights: Weights of the detector.
        weights: Name or path of the re-identification weights.
        device: Where features are extracted and matched, "cpu" or "cuda".
        progress: Told what is being measured.
    """
    progress("decoding")
    frames, decode_ms = _decode(video)
    progress("detecting")
    found = load_detector(detector, detector_weights, threads=1)  # type: ignore[arg-type]
    detect_ms = _median_ms([partial(found.detect, [frame]) for frame in frames[-12:]])
    progress("extracting features")
    model = load_model(weights)
    choice = choose_runner(
        model.network, size=model.input_size, device=torch.device(device), threads=1
    )
    extractor = FeatureExtractor(choice.runner, model.input_size)
    crop = np.random.default_rng(0).integers(0, 256, (256, 100, 3), dtype=np.uint8)
    clock = clock_for(1, torch.device(device))
    feature_ms = _median_ms([lambda: extractor([crop]).cpu()] * 12, clock)
    progress(f"matching against {load.gallery:,} crops")
    scorer = filled_scorer(load.gallery, map_dtype=choose_storage("auto", device), device=device)
    query_ms = float(np.median(query_times_ms(scorer, load.shortlist, 60)[:, 2]))
    unit = "cores" if device == "cpu" else "GPU"
    steps = {
        f"decode {frames[0].width}x{frames[0].height}": Step(decode_ms, load.fps),
        f"detect ({found.description})": Step(detect_ms, load.detect_fps),
        f"features ({extractor.name})": Step(feature_ms, load.people, unit),
        f"shortlist and match {load.shortlist} of {load.gallery:,}": Step(
            query_ms, load.people, unit
        ),
    }
    ring = scorer.ring
    return summary(steps, cores, load, ring.layout.bytes_per_crop, free_bytes(ring.device))


def summary(
    steps: dict[str, Step], cores: int, load: Load, bytes_per_crop: int, free: int | None = None
) -> Table:
    """Add the steps up: the unit that one camera keeps busiest decides how many there can be.

    Args:
        steps: What each step costs, by name.
        cores: Cores of the machine.
        load: What one camera asks for.
        bytes_per_crop: Memory of one crop in the gallery.
        free: Memory that is free beside that gallery, bytes; None where nobody knows.
    """
    room = {"cores": cores * 1000.0, "GPU": 1000.0}
    busy = dict.fromkeys((step.unit for step in steps.values()), 0.0)
    for step in steps.values():
        busy[step.unit] += step.busy_ms
    rows: list[dict[str, Value]] = [
        {
            "step": name,
            "ms each": step.each_ms,
            "per second": step.rate,
            "runs on": step.unit,
            "busy ms per second": step.busy_ms,
            "share %": 100 * step.busy_ms / busy[step.unit],
        }
        for name, step in steps.items()
    ]
    tightest = min(busy, key=lambda unit: room[unit] / busy[unit])
    cameras = int(room[tightest] / busy[tightest])
    bottleneck = max(
        (name for name, step in steps.items() if step.unit == tightest),
        key=lambda name: steps[name].busy_ms,
    )
    costs = " and ".join(
        f"{taken:.0f} ms of {'one core' if unit == 'cores' else 'the GPU'}"
        for unit, taken in busy.items()
    )
    notes = [
        f"One camera at {load.fps:g} frames and {load.detect_fps:g} detections a second with "
        f"{load.people:g} people in view takes {costs} per second.",
        f"This machine ({cores} cores) will hold about {cameras} such cameras, "
        f"{cameras * load.people:.0f} people at a time, over a gallery of {load.gallery:,} crops "
        f"({load.gallery * bytes_per_crop / 2**20:,.0f} MiB)."
        f"{room_for_crops(free, bytes_per_crop)}",
        f"The bottleneck is: {bottleneck}.",
        "Tracking, transport and the store are left out; leave a fifth of the machine for them.",
    ]
    return Table("What this machine will hold, one thread, CPU time", rows, notes)


def _decode(video: Path | None) -> tuple[list[Frame], float]:
    """Frames of the clip and milliseconds per frame."""
    with tempfile.TemporaryDirectory() as folder:
        path = video
        if path is None:
            scene = short_scene(demo_scene(), duration_s=6.0, cameras=1)
            record_scene(scene, Path(folder))
            path = next(Path(folder).glob("*.mp4"))
        source = open_source(str(path), camera_id=CameraId("bench"), clock=SystemClock())
        frames: list[Frame] = []
        started = time.process_time()
        while len(frames) < _FRAMES and (frame := source.read(1.0)) is not None:
            frames.append(frame)
        taken = time.process_time() - started
        source.close()
    return frames, taken * 1e3 / len(frames)


def _median_ms(work: Sequence[Callable[[], object]], clock: Clock = time.process_time) -> float:
    work[0]()
    taken = []
    for run in work:
        started = clock()
        run()
        taken.append(clock() - started)
    return float(np.median(taken)) * 1e3
