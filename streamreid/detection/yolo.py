"""Detector on ultralytics `.pt` weights in torch: for GPUs, and the source of every export."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

from streamreid.detection.network import NetworkDetector
from streamreid.detection.postprocess import ModelLayout
from streamreid.errors import WeightsError
from streamreid.types import Float32Array, UInt8Array

PERSON = "person"


class PersonNetwork(nn.Module):
    """A YOLO detection network cut down to one class, from bytes to boxes.

    The network's own top-k over all classes is left out (only people matter), and so is its NMS
    (torchvision is never imported); doubles are removed afterwards in numpy.

    Args:
        model: Fused ultralytics detection model in eval mode.
        person_class: Number of the class `person`.
    """

    def __init__(self, model: Any, person_class: int) -> None:
        super().__init__()
        head = model.model[-1]
        head.export = True
        head.dynamic = True
        self.end2end = bool(head.end2end)
        if self.end2end:
            head.postprocess = _unchanged
        self.model = model
        self.person_class = person_class

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Boxes and scores of all anchors.

        Args:
            pictures: RGB, `(B, H, W, 3)`, uint8; H and W multiples of 32.

        Returns:
            `(B, anchors, 5)`: x1, y1, x2, y2 in input pixels, score in [0, 1].
        """
        weight = next(self.model.parameters())
        planar = pictures.permute(0, 3, 1, 2).to(weight.dtype) / 255.0
        raw = self.model(planar)
        raw = raw if self.end2end else raw.permute(0, 2, 1)
        boxes = raw[..., :4]
        if not self.end2end:
            half = boxes[..., 2:] / 2
            boxes = torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], dim=-1)
        score = raw[..., 4 + self.person_class : 5 + self.person_class]
        return torch.cat([boxes, score], dim=-1).float()


def _unchanged(predictions: torch.Tensor) -> torch.Tensor:
    return predictions


def _ultralytics_loader() -> Callable[[str], tuple[Any, Any]]:
    """The loader of ultralytics, whose import replaces Pillow's `open` for all; undone here.

    The replacement wants to install a package as soon as a picture is damaged.
    """
    plain_open = Image.open
    from ultralytics.nn.tasks import load_checkpoint

    Image.open = plain_open
    return cast(Callable[[str], tuple[Any, Any]], load_checkpoint)


def load_person_network(weights: Path, *, settings_dir: Path) -> PersonNetwork:
    """Load ultralytics detection weights without running code that they may carry.

    Args:
        weights: A `.pt` file of a detection model that knows the class `person`.
        settings_dir: Where ultralytics may keep its settings; never the home folder.

    Returns:
        The network in eval mode on the CPU, float32.

    Raises:
        WeightsError: The file is missing, damaged, unsafe or of another kind.
    """
    if not weights.is_file():
        raise WeightsError(f"detector weights '{weights}' do not exist; check detector.weights")
    prepare_environment(settings_dir)
    load_checkpoint = _ultralytics_loader()
    try:
        model, _ = load_checkpoint(str(weights))
    except Exception as error:  # noqa: BLE001 - a damaged checkpoint raises whatever it likes
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise WeightsError(
            f"'{weights}' cannot be loaded as ultralytics detector weights "
            f"({type(error).__name__}: {first_line[:200]}); get the file again or check that it is "
            "a YOLO detection model"
        ) from None
    head = model.model[-1]
    names = getattr(model, "names", None) or {}
    person = next((int(number) for number, name in names.items() if name == PERSON), None)
    if type(head).__name__ not in ("Detect", "v10Detect") or person is None:
        raise WeightsError(
            f"'{weights}' is a '{getattr(model, 'task', 'unknown')}' model with classes "
            f"{list(names.values())[:5]}; use a YOLO detection model that knows '{PERSON}'"
        )
    return PersonNetwork(model.fuse(verbose=False).eval().float(), person)


def prepare_environment(settings_dir: Path) -> None:
    """Forbid ultralytics to run pickled code, install packages, or go online.

    Must come before its first import: it reads these once.

    Args:
        settings_dir: Where it may keep its settings.
    """
    settings_dir.mkdir(parents=True, exist_ok=True)
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "1"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["YOLO_OFFLINE"] = "1"
    os.environ["YOLO_VERBOSE"] = "false"
    os.environ["YOLO_CONFIG_DIR"] = str(settings_dir)


class YoloDetector(NetworkDetector):
    """People by a YOLO network in torch.

    Args:
        network: The network.
        device: `cpu`, `cuda` or `cuda:N`.
        confidence: Weakest detection to report, in [0, 1].
        long_side: Longer side of the network's input in pixels.
        name: What to call the weights in `description`.
    """

    def __init__(
        self,
        network: PersonNetwork,
        *,
        device: str = "cpu",
        confidence: float = 0.35,
        long_side: int = 640,
        name: str = "weights",
    ) -> None:
        self._device = torch.device(device)
        # Half precision is unusably slow on CPUs (design: performance, section 0).
        dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        precision = str(dtype).removeprefix("torch.")
        super().__init__(
            ModelLayout(output="people"),
            backend=f"torch {self._device} {precision}",
            confidence=confidence,
            long_side=long_side,
            name=name,
        )
        self._network = network.to(self._device, dtype)

    def _infer(self, batch: UInt8Array | Float32Array) -> Float32Array:
        with torch.inference_mode():
            output = self._network(torch.from_numpy(batch).to(self._device))
        return np.asarray(output.cpu().numpy(), np.float32)
