"""Choosing a detector: from what the configuration asks for to one that runs well here.

Export and measurement happen once per machine, under a lock and in processes of their own; every
later start reads their result, so a camera worker on ONNX Runtime or OpenVINO imports no torch.
"""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from streamreid.detection.detector import Detector
from streamreid.detection.export import LAYOUT_FILE, MODEL_FILE, read_layout
from streamreid.detection.machine import locked, machine_key, run_helper
from streamreid.detection.motion import MotionDetector
from streamreid.detection.onnx import ONNX_BACKENDS, OnnxDetector
from streamreid.detection.prepared import OnnxBackend
from streamreid.detection.weights import Report, check_sha256, default_cache_dir, find_weights
from streamreid.errors import ConfigError, DetectorError, WeightsError

DetectorKind = Literal["auto", "yolo", "motion"]
Backend = Literal["openvino-bf16", "openvino-f32", "onnxruntime", "torch"]

_WEAK_SHARE = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """Which detector will run, before it is loaded.

    Attributes:
        kind: `yolo` or `motion`.
        weights: Weights file, None for `motion`.
        sha256: Digest of the weights, None for `motion`.
        backend: Library and precision, None for `motion`.
        model_dir: Folder of the exported model, None for `motion` and torch.
        note: What the user should know, or an empty text.
    """

    kind: Literal["yolo", "motion"]
    weights: Path | None = None
    sha256: str | None = None
    backend: Backend | None = None
    model_dir: Path | None = None
    note: str = ""


def plan_detector(
    kind: DetectorKind,
    weights: str,
    *,
    device: str = "auto",
    sha256: str | None = None,
    cache_dir: Path | None = None,
    allow_download: bool = False,
    backend: Backend | None = None,
    threads: int = 1,
    report: Report = _log.warning,
) -> DetectorPlan:
    """Decide which detector runs; exports and measures if that was never done here.

    Args:
        kind: What the configuration asks for. `auto` = yolo if there are weights, else motion.
        weights: Path, or name of published weights.
        device: `auto`, `cpu`, `cuda` or `cuda:N`. `auto` takes a GPU if one is there.
        sha256: Digest that the weights must have.
        cache_dir: Folder for downloads and exports; default: `default_cache_dir()`.
        allow_download: Whether published weights may be fetched.
        backend: Back-end to use without measuring.
        threads: CPU threads to measure with.
        report: Told warnings and progress, one line each.

    Raises:
        ConfigError: Unknown kind or back-end.
        WeightsError: Weights are missing (kind `yolo`), damaged, of another kind or not as pinned.
        DetectorError: No back-end runs the model here.
    """
    if kind not in get_args(DetectorKind):
        raise ConfigError(f"detector.kind is '{kind}'; use auto, yolo or motion")
    if backend is not None and backend not in get_args(Backend):
        raise ConfigError(f"back-end '{backend}' is unknown; use {', '.join(get_args(Backend))}")
    if kind == "motion":
        return DetectorPlan("motion")
    cache = cache_dir if cache_dir is not None else default_cache_dir()
    path = find_weights(weights, cache_dir=cache, allow_download=allow_download, report=report)
    if path is None:
        missing = (
            f"detector weights '{weights}' were found neither at that path nor in "
            f"'{cache / 'weights'}'"
        )
        if kind == "yolo":
            raise WeightsError(f"{missing}; give the path in detector.weights, or use kind: motion")
        note = (
            f"{missing}: detecting by motion instead, which sees everything that moves and loses "
            "who stands still; give the path of YOLO weights in detector.weights"
        )
        report(note)
        return DetectorPlan("motion", note=note)
    digest = check_sha256(path, sha256)
    if backend == "torch" or (backend is None and _wants_gpu(device)):
        return DetectorPlan("yolo", path, digest, "torch")
    model_dir = cache / "detectors" / digest[:16]
    with locked(cache / "detectors" / ".lock"):
        if read_layout(model_dir / LAYOUT_FILE) is None or not (model_dir / MODEL_FILE).is_file():
            report(f"exporting {path.name} to ONNX (once)")
            run_helper("streamreid.detection.export", str(path), str(model_dir))
        chosen = backend or _chosen_backend(model_dir, threads, report)
    return DetectorPlan("yolo", path, digest, chosen, model_dir)


def build_detector(
    plan: DetectorPlan,
    *,
    confidence: float = 0.35,
    device: str = "auto",
    long_side: int = 640,
    threads: int = 1,
    cache_dir: Path | None = None,
) -> Detector:
    """Load the detector of a plan.

    Args:
        plan: From `plan_detector`.
        confidence: Confidence from which a detection counts by itself, in [0, 1]. A YOLO detector
            reports down to half of it, because weak detections still prolong tracks.
        device: For torch: `auto`, `cpu`, `cuda` or `cuda:N`.
        long_side: Longer side of the network's input in pixels.
        threads: CPU threads for ONNX Runtime and OpenVINO.
        cache_dir: Folder for settings of libraries; default: `default_cache_dir()`.

    Raises:
        WeightsError: The weights cannot be loaded.
        DetectorError: The back-end cannot run.
    """
    if plan.kind == "motion" or plan.weights is None:
        return MotionDetector(confidence=confidence)
    weakest = _WEAK_SHARE * confidence
    name = f"{plan.weights.name} sha256:{(plan.sha256 or '')[:12]}"
    if plan.backend == "torch" or plan.backend is None or plan.model_dir is None:
        from streamreid.detection.yolo import YoloDetector, load_person_network

        cache = cache_dir if cache_dir is not None else default_cache_dir()
        network = load_person_network(plan.weights, settings_dir=cache / "ultralytics")
        torch_device = ("cuda" if _has_gpu() else "cpu") if device == "auto" else device
        return YoloDetector(
            network, device=torch_device, confidence=weakest, long_side=long_side, name=name
        )
    layout = read_layout(plan.model_dir / LAYOUT_FILE)
    if layout is None:
        raise DetectorError(f"the export in '{plan.model_dir}' is gone; start again")
    return OnnxDetector(
        plan.model_dir / MODEL_FILE,
        layout,
        backend=plan.backend,
        confidence=weakest,
        long_side=long_side,
        threads=threads,
        name=name,
        keep_ready=True,
    )


def load_detector(
    kind: DetectorKind,
    weights: str,
    *,
    device: str = "auto",
    confidence: float = 0.35,
    sha256: str | None = None,
    cache_dir: Path | None = None,
    allow_download: bool = False,
    backend: Backend | None = None,
    long_side: int = 640,
    threads: int = 1,
    report: Report = _log.warning,
) -> Detector:
    """Plan and load in one step; arguments and errors as in the two functions above."""
    plan = plan_detector(
        kind,
        weights,
        device=device,
        sha256=sha256,
        cache_dir=cache_dir,
        allow_download=allow_download,
        backend=backend,
        threads=threads,
        report=report,
    )
    return build_detector(
        plan,
        confidence=confidence,
        device=device,
        long_side=long_side,
        threads=threads,
        cache_dir=cache_dir,
    )


def _has_gpu() -> bool:
    # Asking torch would import it.
    return Path("/dev/nvidia0").exists()


def _wants_gpu(device: str) -> bool:
    if device not in ("auto", "cpu") and not device.startswith("cuda"):
        raise ConfigError(f"device is '{device}'; use auto, cpu, cuda or cuda:N")
    return device.startswith("cuda") or (device == "auto" and _has_gpu())


def _chosen_backend(model_dir: Path, threads: int, report: Report) -> OnnxBackend:
    choice_file = model_dir / f"choice-{machine_key(threads)}.json"
    try:
        chosen = json.loads(choice_file.read_text("utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        chosen = None
    if chosen not in ONNX_BACKENDS:
        report("measuring detector back-ends (once)")
        output = run_helper("streamreid.detection.measure", str(model_dir), str(threads))
        measured: dict[str, float] = json.loads(output)
        if not measured:
            raise DetectorError(f"no back-end runs '{model_dir / MODEL_FILE}' on this machine")
        chosen = min(measured, key=measured.__getitem__)
        partial = choice_file.with_name(f".{os.getpid()}.{choice_file.name}")
        partial.write_text(json.dumps({"backend": chosen, "measured_ms": measured}), "utf-8")
        partial.replace(choice_file)
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in measured.items())
        report(f"detector back-end {chosen} ({times} a frame)")
    return next(name for name in ONNX_BACKENDS if name == chosen)
