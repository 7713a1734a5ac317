"""Feature extraction: crops in, maps out, by the back-end that a short measurement chose."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from streamreid.errors import ConfigError
from streamreid.reid.matching_blocks import fast_on_this_cpu
from streamreid.reid.memory import explain_full_memory
from streamreid.reid.preprocess import prepare
from streamreid.reid.runners import (
    CudaGraphRunner,
    MapRunner,
    OnnxRunner,
    OpenVinoRunner,
    TorchRunner,
)
from streamreid.types import UInt8Array

# Mean cosine between the maps of a back-end and those of torch in float32, below which it is wrong.
_AGREEMENT = 0.999
# A back-end further down must be this much faster, so that noise does not change the choice.
_MARGIN = 1.3


@dataclass(frozen=True, slots=True, eq=False)
class RunnerChoice:
    """The back-end that runs the feature network, and why.

    Attributes:
        runner: The chosen one.
        milliseconds: Median time per crop of each back-end that was measured.
        rejected: Back-ends that could not be used, with the reason.
    """

    runner: MapRunner
    milliseconds: dict[str, float]
    rejected: dict[str, str]


class FeatureExtractor:
    """Crops in, feature maps out.

    Args:
        runner: The network on its device.
        input_size: Height and width that the network was trained on, pixels.
        batch: Most crops that run at once; memory is bounded by it.
    """

    def __init__(self, runner: MapRunner, input_size: tuple[int, int], *, batch: int = 16) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        self.runner = runner
        self.input_size = input_size
        self.batch = batch

    @property
    def name(self) -> str:
        """Back-end and dtype."""
        return self.runner.name

    def __call__(self, crops: Sequence[UInt8Array]) -> Tensor:
        """Compute the feature maps of crops.

        Args:
            crops: RGB pixels, each `(h, w, 3)` uint8, at least one; sizes may differ.

        Returns:
            Unit-norm maps, shape `[N, C, h, w]`, float32, on the runner's device.

        Raises:
            ValueError: If there is no crop or one is not an RGB uint8 image.
            DeviceMemoryError: If the device has no room for a batch.
        """
        if not crops:
            raise ValueError("no crops to extract features from")
        with explain_full_memory(self.runner.device, f"extracting features of {len(crops)} crops"):
            parts = [
                self.runner(prepare(crops[start : start + self.batch], self.input_size))
                for start in range(0, len(crops), self.batch)
            ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def feature_backends(device: torch.device) -> tuple[str, ...]:
    """Names that `choose_runner` accepts on a device besides "auto", in order of preference."""
    if device.type == "cuda":
        return ("torch-fp16-graphs", "torch-fp16", "torch-fp32")
    return ("openvino-bf16", "openvino-fp32", "torch-bf16", "onnxruntime-fp32", "torch-fp32")


def choose_runner(
    network: nn.Module,
    *,
    size: tuple[int, int],
    device: torch.device,
    backend: str = "auto",
    threads: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> RunnerChoice:
    """Build the runner of a network.

    "auto" builds the back-ends that can be fast here, drops those whose maps differ from torch in
    float32, and takes the first in order of preference that no other beats by 30 %. Of a library
    that works in bfloat16 the float32 variant is not tried.

    Args:
        network: The feature network.
        size: Height and width of the images, pixels.
        device: Where it is to run.
        backend: "auto" or one of `feature_backends`.
        threads: Threads of OpenVINO and ONNX Runtime; None for their choice.
        clock: Seconds from any start, for the measurement.

    Raises:
        ConfigError: If a back-end that was asked for is unknown, not installed or wrong.
    """
    names = feature_backends(device)
    if backend != "auto" and backend not in names:
        raise ConfigError(f"feature back-end {backend!r}; on {device} use auto or one of {names}")
    wanted = [backend] if backend != "auto" else [name for name in names if _promising(name)]
    images = torch.rand(4, 3, *size, generator=torch.Generator().manual_seed(0))
    plain = TorchRunner(network, device=device, dtype=torch.float32)
    expected = plain(images).cpu()
    runners: list[MapRunner] = []
    milliseconds: dict[str, float] = {}
    rejected: dict[str, str] = {}
    for name in wanted:
        if backend == "auto" and _settled(name, milliseconds):
            continue
        try:
            runner = plain if name == plain.name else _build(name, network, size, device, threads)
            agreement = float((runner(images).cpu() * expected).sum(dim=1).mean())
        except (ImportError, RuntimeError) as exc:
            rejected[name] = f"{type(exc).__name__}: {exc}".splitlines()[0]
            continue
        if agreement < _AGREEMENT:
            rejected[name] = f"maps differ: mean cosine {agreement:.4f} to torch in float32"
            continue
        runners.append(runner)
        milliseconds[name] = _median_ms(runner, images, clock)
    if not runners:
        raise ConfigError(f"feature back-end {backend!r} cannot be used here: {rejected}")
    fastest = min(milliseconds.values())
    chosen = next(r for r in runners if milliseconds[r.name] <= _MARGIN * fastest)
    return RunnerChoice(chosen, milliseconds, rejected)


def _settled(name: str, measured: Iterable[str]) -> bool:
    """Whether a better variant of a CPU library works: starting the others costs seconds."""
    better = {
        "openvino-fp32": ("openvino-bf16",),
        "onnxruntime-fp32": ("openvino-bf16", "openvino-fp32"),
    }
    return any(other in measured for other in better.get(name, ()))


def _promising(name: str) -> bool:
    return not name.endswith("bf16") or fast_on_this_cpu("bf16")


def _build(
    name: str,
    network: nn.Module,
    size: tuple[int, int],
    device: torch.device,
    threads: int | None,
) -> MapRunner:
    library, precision = name.split("-", 1)
    if name == "torch-fp16-graphs":
        return CudaGraphRunner(network, device=device, size=size)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if library == "openvino":
        return OpenVinoRunner(network, size=size, dtype=dtype, threads=threads)
    if library == "onnxruntime":
        return OnnxRunner(network, size=size, threads=threads)
    return TorchRunner(network, device=device, dtype=dtype)


def _median_ms(runner: MapRunner, images: Tensor, clock: Callable[[], float]) -> float:
    """Milliseconds per crop, the median of five runs over the images."""
    runner(images)
    taken = []
    for _ in range(5):
        _wait(runner)
        started = clock()
        runner(images)
        _wait(runner)
        taken.append(clock() - started)
    return sorted(taken)[2] * 1e3 / len(images)


def _wait(runner: MapRunner) -> None:
    if runner.device.type == "cuda":
        torch.cuda.synchronize(runner.device)
