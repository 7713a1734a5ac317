"""Ways to run a feature network: torch, OpenVINO, ONNX Runtime, CUDA graphs.

Every runner maps images `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]` in float32, and
gives the same numbers for a crop whatever else is in the batch, as far as its library allows.
"""

import copy
import tempfile
import warnings
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from streamreid.openvino_library import openvino_converter, openvino_runtime


class MapRunner(Protocol):
    """A network ready to run on one device by one back-end."""

    name: str
    """Back-end and dtype, such as `openvino-bf16`; recorded in `runs`."""

    device: torch.device
    """Where the maps come out."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, float32."""


class TorchRunner:
    """Runs the network by torch, channels last.

    Args:
        network: The network; a copy is put into evaluation mode and moved.
        device: Where it runs.
        dtype: float32, or bfloat16 / float16 by autocast (normalisations stay in float32).
    """

    def __init__(self, network: nn.Module, *, device: torch.device, dtype: torch.dtype) -> None:
        short = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
        self.name = f"torch-{short}"
        self.device = device
        self._dtype = dtype
        self._network = copy.deepcopy(network).eval().to(device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, float32."""
        images = images.to(device=self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32):
            maps: Tensor = self._network(images)
        return functional.normalize(maps.float(), dim=1)


class CudaGraphRunner:
    """Replays the network as CUDA graphs, one per batch size; batches are padded up to the next.

    Args:
        network: The network; a copy is moved to the device.
        device: A CUDA device.
        size: Height and width of the images, pixels.
        batches: Batch sizes to record, ascending.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        device: torch.device,
        size: tuple[int, int],
        batches: tuple[int, ...] = (1, 4, 16),
    ) -> None:
        self.name = "torch-fp16-graphs"
        self.device = device
        self._eager = TorchRunner(network, device=device, dtype=torch.float16)
        self._recorded = {count: self._record(count, size) for count in batches}

    def _record(
        self, count: int, size: tuple[int, int]
    ) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        images = torch.zeros(count, 3, *size, device=self.device)
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):  # CUDA wants a few runs on a side stream before recording
            for _ in range(3):
                self._eager(images)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            maps = self._eager(images)
        return graph, images, maps

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, float32."""
        largest = max(self._recorded)
        parts = []
        for start in range(0, len(images), largest):
            part = images[start : start + largest]
            count = min(size for size in self._recorded if size >= len(part))
            graph, source, maps = self._recorded[count]
            source[: len(part)].copy_(part)
            graph.replay()
            parts.append(maps[: len(part)].clone())
        return torch.cat(parts)


class OpenVinoRunner:
    """Runs the network by OpenVINO, one crop at a time: on a CPU a batch gains nothing.

    Args:
        network: The network, on the CPU.
        size: Height and width of the images, pixels.
        dtype: float32 or bfloat16.
        threads: Threads to use; None for OpenVINO's choice.

    Raises:
        ImportError: If OpenVINO is not installed.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        size: tuple[int, int],
        dtype: torch.dtype,
        threads: int | None = None,
    ) -> None:
        openvino, convert_model = openvino_runtime(), openvino_converter()
        self.name = f"openvino-{'bf16' if dtype == torch.bfloat16 else 'fp32'}"
        self.device = torch.device("cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converter traces and uses old torch names
            model = convert_model(
                copy.deepcopy(network).eval(), example_input=torch.zeros(1, 3, *size)
            )
        model.reshape([1, 3, *size])
        options: dict[str, str | int] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        }
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        self._request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()

    def __call__(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, float32."""
        pixels = images.numpy()
        maps = [
            np.array(self._request.infer({0: pixels[row : row + 1]})[0])
            for row in range(len(pixels))
        ]
        return functional.normalize(torch.from_numpy(np.concatenate(maps)), dim=1)


class OnnxRunner:
    """Runs the network by ONNX Runtime in float32, one crop at a time.

    Args:
        network: The network, on the CPU.
        size: Height and width of the images, pixels.
        threads: Threads to use; None for the library's choice.

    Raises:
        ImportError: If ONNX Runtime is not installed.
    """

    name = "onnxruntime-fp32"

    def __init__(
        self, network: nn.Module, *, size: tuple[int, int], threads: int | None = None
    ) -> None:
        import onnxruntime

        self.device = torch.device("cpu")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the exporter that needs no further package is old
                torch.onnx.export(
                    copy.deepcopy(network).eval(),
                    (torch.zeros(1, 3, *size),),
                    str(path),
                    input_names=["images"],
                    output_names=["maps"],
                    dynamo=False,
                )
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )

    def __call__(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, float32."""
        pixels = images.numpy()
        maps = [
            self._session.run(None, {"images": pixels[row : row + 1]})[0]
            for row in range(len(pixels))
        ]
        return functional.normalize(torch.from_numpy(np.concatenate(maps)), dim=1)
