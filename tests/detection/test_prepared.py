"""Networks made ready once: the same people, and no harm when the file is damaged."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamreid.detection.machine import locked
from streamreid.detection.onnx import ONNX_BACKENDS, OnnxDetector
from streamreid.detection.postprocess import ModelLayout
from streamreid.detection.prepared import OnnxBackend, main, prepared_file
from streamreid.types import Frame
from tests.video.clips import CAMERA


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network that reads boxes and scores from the first pixels of the picture."""

    def ints(name: str, *values: int) -> TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    nodes = [
        helper.make_node("Slice", ["pictures", "from", "to", "axes"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["rows"]),
        helper.make_node("Mul", ["rows", "scale"], ["people"]),
    ]
    scale = numpy_helper.from_array(np.array([1, 1, 2, 2, 1 / 255], np.float32), "scale")
    graph = helper.make_graph(
        nodes,
        "people",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["b", "h", "w", 3])],
        [helper.make_tensor_value_info("people", TensorProto.FLOAT, ["b", 96, 5])],
        [
            ints("from", 120, 0),
            ints("to", 121, 160),
            ints("axes", 1, 2),
            ints("shape", -1, 96, 5),
            scale,
        ],
    )
    path = tmp_path / "model.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    return path


def _people(model: Path, backend: OnnxBackend, *, keep_ready: bool) -> np.ndarray:
    rng = np.random.default_rng(3)
    luma = rng.integers(16, 235, (360, 640), dtype=np.uint8)
    chroma = rng.integers(100, 156, (2, 180, 320), dtype=np.uint8)
    frame = Frame(CAMERA, 0, 0, 0.0, "file", luma, chroma[0], chroma[1])
    layout = ModelLayout(output="people")
    (found,) = OnnxDetector(model, layout, backend=backend, keep_ready=keep_ready).detect([frame])
    return np.concatenate([found.boxes_xyxy, found.confidence[:, None]], 1)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_a_network_made_ready_finds_the_same_people(model: Path, backend: OnnxBackend) -> None:
    plain = _people(model, backend, keep_ready=False)
    assert len(plain) > 3
    np.testing.assert_array_equal(_people(model, backend, keep_ready=True), plain)
    (ready,) = model.parent.glob(f"{backend}-*.ready")
    written = ready.stat().st_mtime_ns
    np.testing.assert_array_equal(_people(model, backend, keep_ready=True), plain)
    assert ready.stat().st_mtime_ns == written
    ready.write_bytes(b"damaged")
    np.testing.assert_array_equal(_people(model, backend, keep_ready=True), plain)


def test_what_cannot_be_made_ready_is_left_to_the_worker(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"no network")
    assert prepared_file(model, "onnxruntime", 1, ()) is None
    assert main([str(model), "onnxruntime", "1", "any", str(tmp_path / "out.ready")]) != 0
    assert list(tmp_path.glob("*.ready")) == []
    assert list(tmp_path.glob(".*.ready")) == []


def test_a_lock_of_a_process_that_ended_holds_nobody_up(tmp_path: Path) -> None:
    lock = tmp_path / "deep" / "lock"
    for _ in range(2):
        with locked(lock):
            assert lock.is_file()
