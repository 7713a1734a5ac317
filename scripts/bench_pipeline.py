#!/usr/bin/env python3
"""Processor time of one camera, stage by stage, next to the plain way and to the floor.

One camera of 1920x1080 at 25 fps and 3 Mb/s, 5 looks a second, every person embedded and looked up
once a second in a gallery of 1,000, maps of 128 channels. Two scenes: PETS (about 6 people in
view) and a static noisy scene with nobody. The plain way uses the same networks: OpenCV's
VideoCapture, whole BGR frames, ultralytics in eager torch, one einsum per query. All of it runs on
one thread, in turns, in one process, and is counted in processor time, which a busy machine
disturbs least.

Example: scripts/bench_pipeline.py --clip videos/pets09_s2l1_view1.mp4 --weights yolo26n.pt
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import cv2
import numpy as np
import torch
import zmq

from streamreid.clock import SystemClock
from streamreid.detection.gate import MotionGate
from streamreid.detection.select import load_detector
from streamreid.detection.yolo import prepare_environment
from streamreid.messages import CropMessage, encode
from streamreid.pictures import crop_rgb, letterbox_rgb
from streamreid.reid.extract import FeatureExtractor, choose_runner
from streamreid.reid.feature_maps import FeatureMaps
from streamreid.reid.matching import match_scores
from streamreid.reid.preprocess import prepare
from streamreid.reid.qaconv import fold
from streamreid.reid.weights import load_model
from streamreid.tracking.crops import CropPicker
from streamreid.tracking.tracker import CameraTracker
from streamreid.types import CameraId, Detections, TrackId
from streamreid.video.sampler import FrameSampler
from streamreid.video.source import open_source

CAMERA = CameraId("bench")
WIDTH, HEIGHT, FPS, BITS, LOOKS = 1920, 1080, 25, 3_000_000, 5.0
GALLERY = 1000
DETECTOR_GFLOP = 5.5 * 384 / 640
"""YOLO26n at 640x640 needs 5.5 GFLOP (ultralytics' own summary); this input is 640x384."""


class Stages:
    """Processor seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        began_s = time.process_time()
        yield
        self.seconds[name] += time.process_time() - began_s
        self.calls[name] += 1


def encode_clip(path: Path, pictures: Iterator[np.ndarray], frames: int) -> None:
    """Encode RGB pictures as H.264 at the bit rate and size of the benchmark."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = BITS
        stream.codec_context.time_base = Fraction(1, FPS)
        rate = f"{BITS // 1000}k"
        stream.options = {"preset": "veryfast", "bf": "0", "g": "50"}
        stream.options |= {"maxrate": rate, "bufsize": rate}
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(next(pictures), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def busy_pictures(clip: Path) -> Iterator[np.ndarray]:
    """The clip scaled up, every picture shown 2.5 times (10 to 25 fps), with sensor noise."""
    rng = np.random.default_rng(0)
    shown = 0.0
    with av.open(str(clip)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            rgb = picture.to_ndarray(format="rgb24")
            large = cv2.resize(rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            while shown < (index + 1) * FPS / 10:
                yield with_noise(large, rng)
                shown += 1


def idle_pictures(background: np.ndarray) -> Iterator[np.ndarray]:
    """A wall, with sensor noise."""
    rng = np.random.default_rng(1)
    while True:
        yield with_noise(background, rng)


def wall() -> np.ndarray:
    """A blotchy wall, RGB."""
    rng = np.random.default_rng(2)
    coarse = rng.integers(40, 200, (HEIGHT // 30, WIDTH // 30, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def with_noise(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with grey noise of 2 levels, from a small pool to keep the making fast."""
    noise = rng.normal(0, 2, (HEIGHT // 4, WIDTH // 4)).astype(np.int16)
    noise = np.tile(noise, (4, 4))[:HEIGHT, :WIDTH, None]
    return np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)


class Matcher:
    """Features and matching by the shipped weights, ours and the plain way."""

    def __init__(self) -> None:
        model = load_model("default")
        self.digest, self.size = model.digest, model.input_size
        self.network, self.layer = model.network, model.head
        cpu = torch.device("cpu")
        self.choice = choose_runner(self.network, size=self.size, device=cpu, threads=1)
        self.extract = FeatureExtractor(self.choice.runner, self.size)
        self.head = fold(self.layer)
        rng = torch.Generator().manual_seed(0)
        shape = (GALLERY, self.network.channels, self.head.height, self.head.width)
        maps = torch.randn(shape, generator=rng)
        self.gallery = torch.nn.functional.normalize(maps, dim=1)
        self.packed = FeatureMaps.pack(self.gallery, torch.int8)

    @torch.inference_mode()
    def ours(self, crops: list[np.ndarray], stages: Stages) -> None:
        """Embed the crops of one moment together and look each up."""
        if not crops:
            return
        with stages.of("features"):
            maps = self.extract(crops)
        with stages.of("matching"):
            match_scores(maps, self.packed, self.head)
        for stage in ("features", "matching"):
            stages.calls[stage] += len(crops) - 1

    @torch.inference_mode()
    def plain(self, images: list[np.ndarray], stages: Stages) -> None:
        """Embed every crop by itself in eager torch; one einsum per query."""
        for image in images:
            with stages.of("features"):
                maps = self.network(prepare([image], self.size))
            with stages.of("matching"):
                self.layer(maps, self.gallery)


def run_ours(clip: Path, detector: Any, matcher: Matcher) -> tuple[Stages, int]:
    """Our camera worker's stages on a clip; (stages, frames)."""
    stages = Stages()
    source = open_source(str(clip), camera_id=CAMERA, clock=SystemClock(), start_time_s=0.0)
    sampler, gate = FrameSampler(LOOKS), MotionGate()
    tracker, picker = CameraTracker(CAMERA, detect_fps=LOOKS), CropPicker(crop_rgb)
    looked_up: dict[TrackId, float] = {}
    frames = 0
    with zmq.Context() as context, context.socket(zmq.PAIR) as out:
        into = context.socket(zmq.PAIR)
        into.connect(f"tcp://127.0.0.1:{out.bind_to_random_port('tcp://127.0.0.1')}")
        while True:
            with stages.of("decode"):
                frame = source.read(0.0)
            if frame is None:
                into.close(0)
                # The detector letterboxes for itself; the separate run only tells its share.
                both = stages.seconds.pop("resize + detect", 0.0)
                stages.seconds["detect"] = both - stages.seconds["resize"]
                stages.calls["detect"] = stages.calls["resize"]
                return stages, frames
            frames += 1
            if not sampler.due(frame):
                continue
            with stages.of("gate"):
                opened = gate.update(frame, tracks=tracker.open_tracks).open
            now_s = frame.captured_at_s
            if not opened:
                tracker.advance(captured_at_s=now_s)
                continue
            with stages.of("resize"):
                letterbox_rgb(frame, (640, 384))
            with stages.of("resize + detect"):
                found = detector.detect([frame])[0]
            with stages.of("track"):
                tracked = tracker.update(found, captured_at_s=now_s, frame=frame)
            with stages.of("crop"):
                picked = picker.offer(frame, tracked)
            with stages.of("send"):
                for crop in picked:
                    out.send_multipart(encode(CropMessage(1, crop)), copy=False)
                    into.recv_multipart()
            # One embedding and one query per person and second, whatever the picker sends.
            due = []
            for row, track_id in enumerate(tracked.track_id.tolist()):
                if now_s - looked_up.get(track_id, -9.0) >= 0.999:
                    looked_up[track_id] = now_s
                    image = crop_rgb(frame, tracked.boxes_xyxy[row])
                    if image is not None:
                        due.append(image)
            matcher.ours(due, stages)


def run_plain(clip: Path, model: Any, letterbox: Any, matcher: Matcher) -> tuple[Stages, int]:
    """The plain way on a clip; (stages, frames)."""
    stages = Stages()
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    tracker = CameraTracker(CAMERA, detect_fps=LOOKS)
    looked_up: dict[int, float] = {}
    frames = 0
    while True:
        with stages.of("decode"):
            good, image = capture.read()
        if not good:
            capture.release()
            return stages, frames
        now_s = frames / FPS
        frames += 1
        if (frames - 1) % round(FPS / LOOKS):
            continue
        found = detect_plain(model, letterbox, image, stages)
        with stages.of("track"):
            tracked = tracker.update(found, captured_at_s=now_s)
        with stages.of("crop"):
            due = []
            for row, track_id in enumerate(tracked.track_id.tolist()):
                if now_s - looked_up.get(track_id, -9.0) >= 0.999:
                    looked_up[track_id] = now_s
                    x1, y1, x2, y2 = tracked.boxes_xyxy[row].clip(0).astype(int)
                    due.append(cv2.cvtColor(image[y1:y2, x1:x2], cv2.COLOR_BGR2RGB))
        matcher.plain([crop for crop in due if crop.size], stages)


@torch.inference_mode()
def detect_plain(model: Any, letterbox: Any, image: np.ndarray, stages: Stages) -> Detections:
    """Ultralytics' own steps without its wrapper, which only adds to them."""
    with stages.of("resize"):
        boxed = letterbox(image=image)
        batch = torch.from_numpy(np.ascontiguousarray(boxed[..., ::-1].transpose(2, 0, 1)))
        batch = batch[None].float() / 255.0
    with stages.of("detect"):
        output = model(batch)[0][0].numpy()
    people = output[(output[:, 4] >= 0.35) & (output[:, 5] == 0)]
    scale = min(640 / image.shape[1], 384 / image.shape[0])
    pad = np.array([(640 - image.shape[1] * scale) / 2, (384 - image.shape[0] * scale) / 2] * 2)
    return Detections(((people[:, :4] - pad) / scale).astype(np.float32), people[:, 4])


def decode_alone(clip: Path) -> tuple[Stages, int]:
    """Nothing but decoding."""
    stages, frames = Stages(), 0
    with av.open(str(clip)) as container, stages.of("decode"):
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            frames += 1
    return stages, frames


def gemm_peak_gflops() -> float:
    """Speed of a 2048^3 product in bfloat16 on one thread: the floor's yardstick."""
    a, b = (torch.randn(2048, 2048).bfloat16() for _ in range(2))
    best_s = min(_timed(lambda: torch.mm(a, b)) for _ in range(5))
    return 2 * 2048**3 / best_s / 1e9


def _timed(work: Callable[[], object]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def measure(clips: dict[str, Path], weights: str, cache: Path, rounds: int) -> dict[str, Any]:
    """Run everything in turns; medians over rounds, milliseconds per second of video."""
    prepare_environment(cache / "ultralytics")
    from ultralytics import YOLO
    from ultralytics.data.augment import LetterBox

    detector = load_detector("yolo", weights, device="cpu", cache_dir=cache, report=say)
    model = YOLO(weights).model.float().eval().fuse(verbose=False)
    letterbox, matcher = LetterBox((384, 640), auto=False), Matcher()
    ways: dict[str, Callable[[Path], tuple[Stages, int]]] = {
        "ours": lambda clip: run_ours(clip, detector, matcher),
        "plain": lambda clip: run_plain(clip, model, letterbox, matcher),
        "decoding alone": decode_alone,
    }
    seen: dict[str, dict[str, dict[str, list[float]]]] = {}
    per_call: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for scene, clip in clips.items():
            for way, run in ways.items():
                stages, frames = run(clip)
                say(f"round {number}: {scene}, {way}, {1e3 * sum(stages.seconds.values()):.0f} ms")
                if number == 0:
                    continue  # compilation and caches
                for stage, seconds in stages.seconds.items():
                    row = seen.setdefault(scene, {}).setdefault(way, {}).setdefault(stage, [])
                    row.append(1e3 * seconds * FPS / frames)
                    if way == "ours":
                        per_call[f"{scene}: {stage}"].append(
                            1e3 * seconds / max(1, stages.calls[stage])
                        )
    return {
        "per_second_ms": {
            scene: {
                way: {stage: statistics.median(values) for stage, values in stages.items()}
                for way, stages in of_scene.items()
            }
            for scene, of_scene in seen.items()
        },
        "per_call_ms": {key: statistics.median(values) for key, values in per_call.items()},
        "detector": detector.description,
        "features": f"{matcher.choice.runner.name}, weights {matcher.digest[:8]}",
        "gemm_bf16_gflops": gemm_peak_gflops(),
        "rounds": rounds,
        "map_dtype": "int8",
        "load_average": round(os.getloadavg()[2]),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {
            name: version(name)
            for name in ("av", "opencv-python", "torch", "ultralytics", "openvino", "trackers")
        },
    }


def cpu_name() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def say(line: str) -> None:
    """Progress on stderr, so that stdout stays JSON."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Make the clips, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="PETS S2.L1 view 1")
    parser.add_argument("--weights", required=True, help="yolo26n.pt")
    parser.add_argument("--cache", type=Path, help="folder for exports; default: temporary")
    parser.add_argument("--seconds", type=int, default=12, help="length of the clips")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clips = {"busy": Path(folder) / "busy.mp4", "idle": Path(folder) / "idle.mp4"}
        say("encoding the clips")
        frames = chosen.seconds * FPS
        encode_clip(clips["busy"], busy_pictures(chosen.clip), frames)
        encode_clip(clips["idle"], idle_pictures(wall()), frames)
        result = measure(clips, chosen.weights, chosen.cache or Path(folder), chosen.rounds)
        result["clip_mbit_s"] = {
            scene: clip.stat().st_size * 8e-6 / chosen.seconds for scene, clip in clips.items()
        }
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
