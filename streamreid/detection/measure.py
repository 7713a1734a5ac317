"""Which back-end runs an exported detector fastest on this machine: a short measurement.

`python -m streamreid.detection.measure MODEL_DIR THREADS` prints it as JSON; it runs in a process
of its own, so that nothing it loads stays in a camera worker.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from streamreid.detection.export import LAYOUT_FILE, MODEL_FILE, read_layout
from streamreid.detection.onnx import ONNX_BACKENDS, OnnxDetector
from streamreid.detection.postprocess import ModelLayout
from streamreid.detection.prepared import OnnxBackend
from streamreid.errors import DetectorError
from streamreid.types import CameraId, Frame

_WARM_UP, _ROUNDS = 2, 12


def measure_backends(model_dir: Path, layout: ModelLayout, threads: int) -> dict[str, float]:
    """Milliseconds per 16:9 frame of every back-end that works here; the best of several rounds.

    The back-ends take turns, so that a busy moment hits all of them.

    Args:
        model_dir: Folder of the exported model.
        layout: What it takes and gives.
        threads: CPU threads.
    """
    detectors: dict[OnnxBackend, OnnxDetector] = {}
    frame = _example_frame()
    for backend in ONNX_BACKENDS:
        try:
            detector = OnnxDetector(
                model_dir / MODEL_FILE, layout, backend=backend, threads=threads, keep_ready=True
            )
            for _ in range(_WARM_UP):
                detector.detect([frame])
        except DetectorError:
            continue
        detectors[backend] = detector
    best_ms = dict.fromkeys(map(str, detectors), float("inf"))
    for _ in range(_ROUNDS):
        for backend, detector in detectors.items():
            began_s = time.perf_counter()
            detector.detect([frame])
            best_ms[backend] = min(best_ms[backend], 1e3 * (time.perf_counter() - began_s))
    return best_ms


def _example_frame() -> Frame:
    rng = np.random.default_rng(0)
    luma = rng.integers(16, 235, (720, 1280), dtype=np.uint8)
    chroma = np.full((360, 640), 128, np.uint8)
    return Frame(CameraId("measure"), 0, 0, 0.0, "file", luma, chroma, chroma)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    model_dir = Path(arguments[0])
    layout = read_layout(model_dir / LAYOUT_FILE)
    if layout is None:
        sys.stderr.write(f"'{model_dir}' holds no exported detector\n")
        return 2
    sys.stdout.write(json.dumps(measure_backends(model_dir, layout, int(arguments[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
