"""Feature extraction in batches: one network, several ways to run it, chosen by measurement."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from streamreid.reid.preprocess import prepare
from streamreid.types import UInt8Array


class MapRunner(Protocol):
    """A network ready to run on one device by one back-end."""

    name: str
    """Back-end and dtype, such as `torch-bf16`; recorded in `runs`."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, float32."""


class TorchRunner:
    """Runs the network by torch, channels last.

    Args:
        network: The network; it is put into evaluation mode and moved.
        device: Where it runs.
        dtype: float32 or bfloat16; instance norms run in float32 either way.
    """

    def __init__(self, network: nn.Module, *, device: torch.device, dtype: torch.dtype) -> None:
        self.name = f"torch-{'bf16' if dtype == torch.bfloat16 else 'fp32'}"
        self.device = device
        self.dtype = dtype
        self._network = network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Map `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, float32."""
        images = images.to(device=self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            maps: Tensor = self._network(images)
        return nn.functional.normalize(maps.float(), dim=1)


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
            Unit-norm maps, shape `[N, C, h, w]`, float32.

        Raises:
            ValueError: If there is no crop or one is not an RGB uint8 image.
        """
        if not crops:
            raise ValueError("no crops to extract features from")
        parts = [
            self.runner(prepare(crops[start : start + self.batch], self.input_size))
            for start in range(0, len(crops), self.batch)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
