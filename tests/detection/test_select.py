"""Choosing, exporting and running real detectors; every back-end finds the same people."""

import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from streamreid.clock import SystemClock
from streamreid.detection.export import inspect_onnx, read_layout
from streamreid.detection.onnx import ONNX_BACKENDS, OnnxDetector
from streamreid.detection.postprocess import ModelLayout
from streamreid.detection.select import Backend, build_detector, load_detector, plan_detector
from streamreid.detection.yolo import load_person_network
from streamreid.errors import ConfigError, DetectorError, WeightsError
from streamreid.types import Frame
from streamreid.video.source import open_source
from tests.shared_data import shared_path
from tests.video.clips import CAMERA, flat_frame

# Person boxes on the picture that ultralytics ships, by YOLO26n and YOLO11n (research weights'
# README): 4 people, the last one cut off by the border.
BUS_PEOPLE = [[49, 398, 239, 903], [223, 406, 347, 860], [671, 390, 810, 880], [0, 555, 62, 873]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def bus() -> Frame:
    spec = find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    picture = Path(spec.origin).parent / "assets" / "bus.jpg"
    return next(iter(open_source(str(picture), camera_id=CAMERA, clock=SystemClock())))


def _silent(line: str) -> None:
    del line


def _assert_bus(boxes: np.ndarray, confidence: np.ndarray) -> None:
    assert len(boxes) == 4
    for expected in BUS_PEOPLE:
        nearest = np.abs(boxes - expected).max(axis=1).min()
        assert nearest < 15
    assert (confidence[:3] > 0.75).all()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "backend",
    [
        "onnxruntime",
        pytest.param("openvino-bf16", marks=pytest.mark.slow),
        pytest.param("openvino-f32", marks=pytest.mark.slow),
        pytest.param("torch", marks=pytest.mark.slow),
    ],
)
def test_every_backend_finds_the_same_people(cache: Path, bus: Frame, backend: Backend) -> None:
    detector = load_detector(
        "yolo",
        str(shared_path("weights/yolo26n.pt")),
        cache_dir=cache,
        backend=backend,
        device="cpu",
        report=_silent,
    )
    blank = flat_frame(size=(810, 1080))
    people, nobody, wide = detector.detect([bus, blank, flat_frame(size=(640, 360))])
    _assert_bus(people.boxes_xyxy, people.confidence)
    assert len(nobody) == len(wide) == 0
    assert "yolo26n.pt" in detector.description
    assert backend.split("-")[0] in detector.description


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo11n.pt", "yolo26n_int8.onnx"])
def test_other_heads_and_files(cache: Path, bus: Frame, name: str) -> None:
    detector = load_detector(
        "yolo",
        str(shared_path(f"weights/{name}")),
        cache_dir=cache,
        backend="onnxruntime",
        report=_silent,
    )
    (people,) = detector.detect([bus])
    _assert_bus(people.boxes_xyxy, people.confidence)


@pytest.mark.slow
def test_measured_once_then_remembered(cache: Path) -> None:
    weights = str(shared_path("weights/yolo26n.pt"))
    lines: list[str] = []
    first = plan_detector("auto", weights, device="cpu", cache_dir=cache, report=lines.append)
    assert any("measuring" in line for line in lines)
    assert first.backend in ONNX_BACKENDS
    again = plan_detector("auto", weights, device="cpu", cache_dir=cache, report=pytest.fail)
    assert again == first


_WORKER = """
import sys
from pathlib import Path
import psutil
from streamreid.detection.select import load_detector
from streamreid.pictures import crop_rgb
from streamreid.tracking.crops import CropPicker
from streamreid.tracking.tracker import CameraTracker
from streamreid.video.source import open_source
from tests.video.clips import flat_frame
detector = load_detector("yolo", sys.argv[1], device="cpu", backend=sys.argv[3],
                         cache_dir=Path(sys.argv[2]), report=lambda line: None)
tracker, picker = CameraTracker("door", detect_fps=5.0), CropPicker(crop_rgb)
for step in range(3):
    frame = flat_frame(size=(1920, 1080), captured_at_s=step / 5)
    found = detector.detect([frame])[0]
    picker.offer(frame, tracker.update(found, captured_at_s=frame.captured_at_s))
heavy = [name for name in ("torch", "ultralytics", "torchvision") if name in sys.modules]
print(round(psutil.Process().memory_info().rss / 2**20), heavy)
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "backend", ["onnxruntime", pytest.param("openvino-bf16", marks=pytest.mark.slow)]
)
def test_a_camera_worker_imports_no_torch(cache: Path, backend: str) -> None:
    weights = shared_path("weights/yolo26n.pt")
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, str(weights), str(cache), backend],
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rss_mib, heavy = done.stdout.split(maxsplit=1)
    assert heavy.strip() == "[]"
    # Measured 205 to 260 MiB; torch alone would add 200.
    assert int(rss_mib) < 330


def test_without_weights_auto_warns_and_detects_motion(tmp_path: Path) -> None:
    lines: list[str] = []
    detector = load_detector("auto", "yolo26n.pt", cache_dir=tmp_path, report=lines.append)
    assert detector.description.startswith("motion")
    (warning,) = lines
    assert "detecting by motion instead" in warning
    with pytest.raises(WeightsError, match="kind: motion"):
        plan_detector("yolo", "yolo26n.pt", cache_dir=tmp_path, report=_silent)
    assert plan_detector("motion", "anything").kind == "motion"


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"kind": "magic"}, "auto, yolo or motion"), ({"backend": "tpu"}, "onnxruntime")],
)
def test_unknown_choices(tmp_path: Path, changed: dict[str, str], words: str) -> None:
    asked = {"kind": "auto", "weights": "yolo26n.pt"} | changed
    with pytest.raises(ConfigError, match=words):
        load_detector(**asked, cache_dir=tmp_path)  # type: ignore[arg-type]


def test_an_unknown_device(tmp_path: Path) -> None:
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"x")
    with pytest.raises(ConfigError, match="cuda:N"):
        plan_detector("yolo", str(weights), device="tpu", cache_dir=tmp_path, report=_silent)


def _malicious_checkpoint(path: Path, marker: Path) -> Path:
    """A torch archive whose pickle would create `marker` when it is loaded."""
    command = f"touch {marker}".encode()
    program = (
        b"\x80\x02cposix\nsystem\nX" + len(command).to_bytes(4, "little") + command + b"\x85R."
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", program)
        archive.writestr("w/version", "3\n")
        archive.writestr("w/byteorder", "little")
    return path


def test_a_malicious_checkpoint_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    weights = _malicious_checkpoint(tmp_path / "evil.pt", marker)
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        load_person_network(weights, settings_dir=tmp_path / "settings")
    assert not marker.exists()


@pytest.mark.slow
def test_a_malicious_checkpoint_is_refused_by_the_exporting_process_too(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    weights = _malicious_checkpoint(tmp_path / "evil.pt", marker)
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        load_detector("yolo", str(weights), cache_dir=tmp_path, report=_silent, device="cpu")
    assert not marker.exists()


def test_a_text_file_is_no_onnx_model(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("no model")
    with pytest.raises(WeightsError, match=r"notes\.onnx"):
        inspect_onnx(path)
    with pytest.raises(WeightsError, match="no ONNX model"):
        inspect_onnx(tmp_path / "absent.onnx")


def test_a_model_of_another_kind_is_refused() -> None:
    with pytest.raises(WeightsError, match="expected a YOLO detector"):
        inspect_onnx(shared_path("weights/osnet_x0_25_msmt17.onnx"))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino-f32"])
def test_a_damaged_export_is_an_error(tmp_path: Path, backend: Backend) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x07" + os.urandom(200))
    with pytest.raises(DetectorError, match=r"model\.onnx"):
        OnnxDetector(path, ModelLayout(output="people"), backend=backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1, "x": 2}'])
def test_a_layout_of_other_code_is_ignored(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    assert read_layout(path) is None
    assert read_layout(tmp_path / "absent.json") is None


def _damaged_weights(folder: Path, count: int) -> Iterator[Path]:
    clean = shared_path("weights/yolo26n.pt").read_bytes()
    for seed in range(count):
        rng = random.Random(seed)
        data = bytearray(clean[: rng.randrange(len(clean))] if seed % 2 else clean)
        for _ in range(rng.randrange(1, 2000)):
            data[rng.randrange(max(1, len(data)))] = rng.randrange(256)
        path = folder / f"damaged{seed}.pt"
        path.write_bytes(data)
        yield path


def _load_damaged(folder: Path, count: int) -> int:
    refused = 0
    for path in _damaged_weights(folder, count):
        try:
            load_person_network(path, settings_dir=folder / "settings")
        except WeightsError as error:
            refused += path.name in str(error)
        path.unlink()
    return refused


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    assert _load_damaged(tmp_path, 5) >= 3


@pytest.mark.slow
def test_fifty_damaged_weights_are_refused(tmp_path: Path) -> None:
    # A changed bit inside a tensor cannot be seen; that is what `detector.sha256` is for.
    assert _load_damaged(tmp_path, 50) >= 25


def test_the_motion_detector_needs_no_plan_file() -> None:
    detector = build_detector(plan_detector("motion", ""))
    assert detector.description.startswith("motion")
