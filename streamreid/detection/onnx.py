"""Detector on ONNX Runtime or OpenVINO: what a camera worker runs; imports no torch."""

import io
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from streamreid.detection.machine import give_back_memory
from streamreid.detection.network import NetworkDetector
from streamreid.detection.postprocess import ModelLayout
from streamreid.detection.prepared import (
    OnnxBackend,
    compile_openvino,
    onnxruntime_options,
    openvino_options,
    prepared_file,
)
from streamreid.errors import DetectorError
from streamreid.openvino_library import openvino_runtime
from streamreid.types import Float32Array, UInt8Array

ONNX_BACKENDS: tuple[OnnxBackend, ...] = ("openvino-bf16", "openvino-f32", "onnxruntime")

_MAX_SHAPES = 4
"""Input shapes kept compiled; a camera that changes its size now and then must not pile them up."""


class _Runner(Protocol):
    """One back-end with a loaded model."""

    def run(self, batch: UInt8Array | Float32Array) -> Float32Array:
        """Output of the network for a batch."""


class OnnxDetector(NetworkDetector):
    """People by a YOLO network in ONNX format.

    Args:
        path: Model file (`.onnx`, or OpenVINO's `.xml`).
        layout: What the model takes and gives.
        backend: Library and precision.
        confidence: Weakest detection to report, in [0, 1].
        long_side: Longer side of the network's input in pixels.
        threads: CPU threads.
        name: What to call the weights in `description`.
        keep_ready: Whether compiled networks are kept next to `path`, which is in our cache; see
            `streamreid.detection.prepared`.

    Raises:
        DetectorError: The back-end cannot load the model.
    """

    def __init__(
        self,
        path: Path,
        layout: ModelLayout,
        *,
        backend: OnnxBackend,
        confidence: float = 0.35,
        long_side: int = 640,
        threads: int = 1,
        name: str | None = None,
        keep_ready: bool = False,
    ) -> None:
        super().__init__(
            layout,
            backend=backend,
            confidence=confidence,
            long_side=long_side,
            name=name if name is not None else path.name,
        )
        try:
            if backend == "onnxruntime":
                self._runner: _Runner = _OnnxRuntimeRunner(path, threads, keep_ready=keep_ready)
            else:
                self._runner = _OpenVinoRunner(path, threads, backend, keep_ready=keep_ready)
        except ImportError as error:
            raise DetectorError(f"back-end '{backend}' is not installed ({error})") from error
        except (RuntimeError, ValueError, OSError) as error:
            raise DetectorError(f"{path.name}: {backend} cannot load it ({error})") from error

    def _infer(self, batch: UInt8Array | Float32Array) -> Float32Array:
        return self._runner.run(batch)


class _OnnxRuntimeRunner:
    def __init__(self, path: Path, threads: int, *, keep_ready: bool) -> None:
        import onnxruntime

        self._session: Any = None
        ready = prepared_file(path, "onnxruntime", threads, ()) if keep_ready else None
        for file in filter(None, (ready, path)):
            options = onnxruntime_options(threads)
            if file == ready:
                # The bytes of the file are the weights; nothing is copied.
                options.add_session_config_entry("session.use_ort_model_bytes_directly", "1")
                options.add_session_config_entry("session.load_model_format", "ORT")
            try:
                self._session = onnxruntime.InferenceSession(
                    str(file), options, providers=["CPUExecutionProvider"]
                )
                break
            except Exception as error:
                if file == path:
                    raise ValueError(str(error)) from error
        give_back_memory()
        self._input = self._session.get_inputs()[0].name
        self._fixed_batch = isinstance(self._session.get_inputs()[0].shape[0], int)

    def run(self, batch: UInt8Array | Float32Array) -> Float32Array:
        if self._fixed_batch and len(batch) > 1:
            return np.concatenate([self.run(batch[row : row + 1]) for row in range(len(batch))])
        try:
            (output,) = self._session.run(None, {self._input: batch})
        except Exception as error:
            raise ValueError(str(error)) from error
        return np.asarray(output, np.float32)


class _OpenVinoRunner:
    def __init__(self, path: Path, threads: int, backend: OnnxBackend, *, keep_ready: bool) -> None:
        self._core = openvino_runtime().Core()
        self._path, self._threads, self._backend = path, threads, backend
        self._keep_ready = keep_ready
        # A fixed shape is faster than a dynamic one, so each shape is compiled when it comes.
        self._requests: dict[tuple[int, ...], Any] = {}
        if not keep_ready:
            # Whether the file is a network shows now, not with the first frame.
            self._core.read_model(str(path))

    def run(self, batch: UInt8Array | Float32Array) -> Float32Array:
        rows = [self._run_one(batch[row : row + 1]) for row in range(len(batch))]
        return np.concatenate(rows)

    def _run_one(self, batch: UInt8Array | Float32Array) -> Float32Array:
        request = self._requests.get(batch.shape)
        if request is None:
            if len(self._requests) >= _MAX_SHAPES:
                self._requests.pop(next(iter(self._requests)))
            compiled = self._compiled(batch.shape)
            request = self._requests[batch.shape] = compiled.create_infer_request()
            give_back_memory()
        result = request.infer([batch], share_inputs=True)
        return np.array(next(iter(result.values())), np.float32)

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        if self._keep_ready:
            ready = prepared_file(self._path, self._backend, self._threads, shape)
            options = openvino_options(self._backend, self._threads)
            if ready is not None:
                try:
                    return self._core.import_model(io.BytesIO(ready.read_bytes()), "CPU", options)
                except (RuntimeError, OSError):
                    # Damaged, or of another OpenVINO: made again by the next worker.
                    ready.unlink(missing_ok=True)
        return compile_openvino(self._core, self._path, shape, self._backend, self._threads)
