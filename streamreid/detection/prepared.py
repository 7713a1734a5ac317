"""Networks made ready for this machine and one input shape, kept next to the exported model.

A worker that compiles or optimises a network keeps tens of MiB of what that took. So a process of
its own does it once (`python -m streamreid.detection.prepared MODEL BACKEND THREADS SHAPE TARGET`,
SHAPE as in `1x384x640x3`), and workers load the result: smaller, and ready in a third of the time.
"""

import os
import sys
from pathlib import Path
from typing import Any, Literal

from streamreid.detection.machine import locked, machine_key, run_helper
from streamreid.errors import StreamreidError
from streamreid.openvino_library import openvino_runtime

OnnxBackend = Literal["openvino-bf16", "openvino-f32", "onnxruntime"]


def prepared_file(
    model: Path, backend: OnnxBackend, threads: int, shape: tuple[int, ...]
) -> Path | None:
    """The network made ready; made now if this machine has not done it.

    Args:
        model: Exported model in a folder of our cache.
        backend: Library and precision.
        threads: CPU threads.
        shape: Shape of the input; ONNX Runtime takes any, whatever is said here.

    Returns:
        The file, or None where it cannot be made: then the worker has to do it by itself.
    """
    spelt = "x".join(map(str, shape)) or "any"
    target = model.with_name(f"{backend}-{spelt}-{machine_key(threads)}.ready")
    if target.is_file():
        return target
    try:
        with locked(target.with_suffix(".lock")):
            if not target.is_file():
                arguments = (str(model), backend, str(threads), spelt, str(target))
                run_helper("streamreid.detection.prepared", *arguments)
    except (StreamreidError, OSError):
        return None
    return target


def openvino_options(backend: OnnxBackend, threads: int) -> dict[str, Any]:
    """Settings of OpenVINO's CPU device; what was compiled with them is loaded with them.

    Args:
        backend: `openvino-bf16` or `openvino-f32`.
        threads: CPU threads.
    """
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if backend == "openvino-bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }


def compile_openvino(
    core: Any, model: Path, shape: tuple[int, ...], backend: OnnxBackend, threads: int
) -> Any:
    """Read a model and compile it for one shape, which is faster than a dynamic one.

    Args:
        core: `openvino.Core`.
        model: The exported model.
        shape: Shape of the input.
        backend: `openvino-bf16` or `openvino-f32`.
        threads: CPU threads.
    """
    network = core.read_model(str(model))
    network.reshape(list(shape))
    return core.compile_model(network, "CPU", openvino_options(backend, threads))


def onnxruntime_options(threads: int) -> Any:
    """Session options of ONNX Runtime.

    Args:
        threads: CPU threads.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _prepare(
    model: Path, backend: OnnxBackend, threads: int, shape: tuple[int, ...], partial: Path
) -> None:
    if backend == "onnxruntime":
        import onnxruntime

        options = onnxruntime_options(threads)
        options.optimized_model_filepath = str(partial)
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        return
    compiled = compile_openvino(openvino_runtime().Core(), model, shape, backend, threads)
    exported = compiled.export_model()
    partial.write_bytes(exported if isinstance(exported, bytes) else exported.read())


def main(arguments: list[str]) -> int:
    """Make one network ready; its file appears complete or not at all."""
    model, target = Path(arguments[0]), Path(arguments[4])
    backend: OnnxBackend = next(
        name for name in ("openvino-bf16", "openvino-f32", "onnxruntime") if name == arguments[1]
    )
    shape = () if arguments[3] == "any" else tuple(map(int, arguments[3].split("x")))
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        _prepare(model, backend, int(arguments[2]), shape, partial)
        partial.replace(target)
    except Exception as error:  # noqa: BLE001 - whatever the libraries raise, the worker goes on
        partial.unlink(missing_ok=True)
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return StreamreidError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
