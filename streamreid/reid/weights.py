"""Load a ready model by name or file: network, matching layer, image size and calibration."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamreid.errors import WeightsError
from streamreid.reid import backbone, weight_file
from streamreid.reid.backbone import MapNetwork
from streamreid.reid.device import choose_device
from streamreid.reid.imagenet import imagenet_network, lite0_weights_path
from streamreid.reid.preprocess import prepare
from streamreid.reid.qaconv import QAConv
from streamreid.reid.weight_file import Calibration, Card

SHIPPED = ("default", "qaconv-market")
IMAGENET = "imagenet"
NORMALISATION = "RGB in [0, 1], no mean subtracted, bicubic resize (Pillow)"
_DATA = Path(__file__).parent / "data"
_IMAGENET_SIZE = (384, 128)
_NETWORK = "network."
_HEAD = "head."


@dataclass(frozen=True, slots=True, eq=False)
class ReidModel:
    """Everything needed to turn crops into feature maps and pairs of maps into probabilities.

    Attributes:
        network: RGB `[N, 3, H, W]` in [0, 1] to unit-norm maps `[N, C, h, w]`, evaluation mode.
        head: Matching layer for these maps, evaluation mode.
        input_size: Height and width of the images, pixels.
        calibration: From the head's logit to a probability.
        digest: sha256 of the weights file.
        card: What the file says about itself.
    """

    network: MapNetwork
    head: QAConv
    input_size: tuple[int, int]
    calibration: Calibration
    digest: str
    card: Card

    @property
    def name(self) -> str:
        """Short name of the weights."""
        return self.card.name

    @torch.inference_mode()
    def maps(self, crops: Sequence[npt.NDArray[np.uint8]], *, batch_size: int = 32) -> Tensor:
        """Compute feature maps of crops of any size.

        Args:
            crops: RGB, each `(h, w, 3)` uint8.
            batch_size: Crops per pass of the network.

        Returns:
            Float32, shape `[N, C, h, w]`, on the CPU.
        """
        device = next(self.network.parameters()).device
        parts = [
            self.network(prepare(crops[start : start + batch_size], self.input_size).to(device))
            for start in range(0, len(crops), batch_size)
        ]
        if not parts:
            return torch.empty(0, self.card.map_channels, *self.card.map_size)
        return torch.cat([part.float().cpu() for part in parts])


def load_model(
    name_or_path: str, *, device: str = "cpu", dtype: torch.dtype | None = None
) -> ReidModel:
    """Load a model for inference.

    Args:
        name_or_path: "default", "qaconv-market", "imagenet" (no re-identification training, equal
            location weights) or the path of a `.safetensors` file.
        device: "cpu", "cuda", "cuda:1" ... or "auto".
        dtype: Type of the network's weights and inner values; None is float32. The maps that come
            out are float32 in any case.

    Raises:
        ConfigError: There is no such device.
        WeightsError: The name is unknown, or the file is missing, damaged or of another kind; the
            message names the tensor and the shapes.
    """
    target = choose_device(device)
    imagenet = name_or_path == IMAGENET
    model = _imagenet_model() if imagenet else _load_file(path_of(name_or_path))
    model.network.to(device=target, dtype=dtype or torch.float32)
    model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.network.requires_grad_(False).eval()
    model.head.to(device=target).requires_grad_(False).eval()
    return model


def path_of(name_or_path: str) -> Path:
    """File behind a shipped name, or the path itself.

    Raises:
        WeightsError: It is neither a shipped name nor a `.safetensors` path.
    """
    if name_or_path in SHIPPED:
        return _DATA / f"{name_or_path}.safetensors"
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"weights {name_or_path!r}: use one of {', '.join((*SHIPPED, IMAGENET))} or a "
            ".safetensors file; torch files are turned into one by `streamreid weights import`"
        )
    return path


def model_card_text(name: str) -> str:
    """The model card of shipped weights, Markdown.

    Raises:
        WeightsError: The name is not a shipped one.
    """
    if name not in SHIPPED:
        raise WeightsError(f"there is no model card for {name!r}; shipped are {', '.join(SHIPPED)}")
    return (_DATA / f"{name}.md").read_text(encoding="utf-8")


def save_model(
    path: Path,
    card: Card,
    network: MapNetwork,
    head: QAConv,
    *,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write network and matching layer as one weights file.

    Args:
        path: Ends in `.safetensors`.
        card: Describes the model.
        network: Its tensors are stored in `dtype`.
        head: Stored in float32, it is tiny.
        dtype: float16 halves the file.

    Returns:
        The sha256 of the file.
    """
    tensors = {
        _NETWORK + name: value.to(dtype) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    tensors |= {_HEAD + name: value for name, value in head.state_dict().items()}
    return weight_file.write(path, card, tensors)


def _load_file(path: Path) -> ReidModel:
    card, tensors, digest = weight_file.read(path)
    try:
        network = backbone.build(
            card.architecture,
            neck_channels=card.neck_channels,
            version="2.1" if card.version == "2.1" else "1.0",
            flip=card.flip,
        )
        head = QAConv(card.map_channels, *card.map_size, version=card.version)
    except ValueError as exc:
        raise WeightsError(f"{path}: {exc}; this version cannot use the file") from exc
    _fill(path, network, {k: v for k, v in tensors.items() if k.startswith(_NETWORK)}, _NETWORK)
    _fill(path, head, {k: v for k, v in tensors.items() if k.startswith(_HEAD)}, _HEAD)
    return ReidModel(network, head, card.input_size, card.calibration, digest, card)


def _fill(path: Path, module: torch.nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Copy tensors into a module, converting their dtype, and name what does not fit."""
    own = module.state_dict()
    missing = sorted(prefix + name for name in own if prefix + name not in tensors)
    unknown = sorted(name for name in tensors if name.removeprefix(prefix) not in own)
    if missing or unknown:
        raise WeightsError(
            f"{path} does not hold the network that its header names: missing tensors "
            f"{missing[:5]}, unknown tensors {unknown[:5]}; use the file as it was written"
        )
    for name, target in own.items():
        value = tensors[prefix + name]
        if value.shape != target.shape:
            raise WeightsError(
                f"{path}: tensor {prefix + name!r} has shape {tuple(value.shape)}, expected "
                f"{tuple(target.shape)} for the architecture and image size in its header"
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{path}: tensor {prefix + name!r} has values that are not finite")
        target.copy_(value)


def _imagenet_model() -> ReidModel:
    network = imagenet_network("lite0", neck_channels=0)
    height, width = (side // network.stride for side in _IMAGENET_SIZE)
    head = equal_weight_head(network.channels, height, width)
    card = Card(
        name=IMAGENET,
        architecture="lite0",
        version="2.1",
        neck_channels=0,
        map_channels=network.channels,
        input_size=_IMAGENET_SIZE,
        map_size=(height, width),
        normalisation=NORMALISATION,
        training_data=("ImageNet-1k",),
        licence="Apache-2.0",
        calibration=Calibration(scale=1.0, offset=0.0, fitted_on="not fitted"),
    )
    digest = hashlib.sha256(lite0_weights_path().read_bytes()).hexdigest()
    return ReidModel(network, head, card.input_size, card.calibration, digest, card)


def equal_weight_head(
    channels: int, height: int, width: int, *, scale: float = 24.0, centre: float = 0.0
) -> QAConv:
    """A matching layer without training: `scale * (mean of all maxima - centre)`.

    Args:
        channels: Channels of the maps.
        height: Rows of the maps.
        width: Columns of the maps.
        scale: Factor on the mean of the maxima, which lies in [-1, 1].
        centre: Mean that gets the score zero.
    """
    weight = torch.full((height * width,), 1.0 / (height * width))
    return weighted_head(weight, channels, height, width, scale=scale, centre=centre)


@torch.no_grad()
def weighted_head(
    weight: Tensor, channels: int, height: int, width: int, *, scale: float, centre: float
) -> QAConv:
    """A version 2.1 layer from location weights that sum to one, see `equal_weight_head`."""
    head = QAConv(channels, height, width)
    head.fc.weight.copy_(weight.view(1, -1))
    head.fc.bias.zero_()
    for norm in (head.bn, head.logit_bn):
        if norm.running_var is not None:
            norm.running_var.fill_(1.0 - norm.eps)
    # The layer adds both directions, so the mean over all maxima is half of its sum.
    head.logit_bn.weight.fill_(scale / 2)
    head.logit_bn.bias.fill_(-scale * centre)
    return head.eval()
