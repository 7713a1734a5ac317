"""Networks that turn person images into unit-norm feature maps: a trunk cut early, and a neck.

Source: qaconv section of the QAConv papers (arXiv 1904.10424, 2104.01546): the trunk is cut before
its strides destroy the layout, a 3x3 convolution brings it to few channels, and every location is
scaled to unit length.
"""

import re
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamreid.reid.lite0 import Lite0Trunk
from streamreid.reid.osnet import WIDTHS, OSNetTrunk
from streamreid.reid.resnet_ibn import BLOCKS, Norm, ResNetTrunk

ARCHITECTURES = (
    "lite0",
    "lite0_in",
    "lite0_in_stage7",
    *(f"osnet_{width}" for width in WIDTHS),
    *(f"resnet{depth}{norm}" for depth in BLOCKS for norm in ("", "_ibn_a", "_ibn_b")),
)
"""Names that `build` takes; a ResNet may end in `_layer2` or `_layer4`, it is cut after 3 else."""

_RESNET = re.compile(r"resnet(?P<depth>\d+)(?:_ibn_(?P<norm>[ab]))?(?:_layer(?P<layer>[234]))?")
NeckVersion = Literal["2.1", "1.0"]


class MapNetwork(nn.Module):
    """Trunk, neck and normalisation: RGB images in, unit-norm feature maps out.

    Args:
        trunk: Module with the attributes `channels` and `stride`.
        neck_channels: Channels after the neck; 0 leaves the neck out.
        version: "2.1" gives the neck a bias and no batch norm; "1.0" (also 1.1, 1.2 and 2.0) gives
            it no bias and a batch norm.
        flip: In evaluation mode, average the maps of an image and of its mirror image (turned
            back). Twice the work per image, none per pair.

    Attributes:
        channels: Channels of the maps.
        stride: Pixels of the image per location.
    """

    def __init__(
        self,
        trunk: nn.Module,
        *,
        neck_channels: int = 128,
        version: NeckVersion = "2.1",
        flip: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.flip = flip
        trunk_channels = int(trunk.channels)  # type: ignore[arg-type]
        self.stride = int(trunk.stride)  # type: ignore[arg-type]
        self.channels = neck_channels or trunk_channels
        self.neck = make_neck(trunk_channels, neck_channels, version=version)

    def forward(self, images: Tensor) -> Tensor:
        """Compute feature maps.

        Args:
            images: RGB, shape `[N, 3, H, W]`, values in [0, 1], H and W multiples of the stride.

        Returns:
            Float32, shape `[N, channels, H / stride, W / stride]`, unit norm over channels.
        """
        images = images.to(next(self.parameters()).dtype)
        flip = self.flip and not self.training
        if flip:
            images = torch.cat([images, images.flip(3)])
        images = images.contiguous(memory_format=torch.channels_last)
        maps = functional.normalize(self.neck(self.trunk(images)).float(), dim=1, eps=1e-12)
        if flip:
            straight, mirrored = maps.chunk(2)
            maps = functional.normalize(straight + mirrored.flip(3), dim=1, eps=1e-12)
        return maps


def make_neck(in_channels: int, out_channels: int, *, version: NeckVersion = "2.1") -> nn.Module:
    """Build the 3x3 convolution behind the trunk.

    Args:
        in_channels: Channels of the trunk.
        out_channels: Channels of the maps; 0 for no neck.
        version: See `MapNetwork`.

    Returns:
        A module that keeps height and width.
    """
    if out_channels == 0:
        return nn.Identity()
    if version == "2.1":
        return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, 1, 1))
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False), nn.BatchNorm2d(out_channels)
    )


def build(
    architecture: str,
    *,
    neck_channels: int = 128,
    version: NeckVersion = "2.1",
    flip: bool = False,
) -> MapNetwork:
    """Build a network with random weights.

    Args:
        architecture: One of `ARCHITECTURES`, for example "lite0_in" or "resnet50_ibn_b_layer2".
        neck_channels: Channels of the maps; 0 for those of the trunk.
        version: See `MapNetwork`.
        flip: See `MapNetwork`.

    Raises:
        ValueError: If the architecture is unknown.
    """
    return MapNetwork(_trunk(architecture), neck_channels=neck_channels, version=version, flip=flip)


def _trunk(architecture: str) -> nn.Module:
    if architecture in ("lite0", "lite0_in"):
        return Lite0Trunk(instance_norm=architecture == "lite0_in")
    if architecture == "lite0_in_stage7":
        return Lite0Trunk(final_stage=7)
    if architecture.removeprefix("osnet_") in WIDTHS:
        return OSNetTrunk(architecture.removeprefix("osnet_"))
    match = _RESNET.fullmatch(architecture)
    if match is None or int(match["depth"]) not in BLOCKS:
        raise ValueError(f"architecture {architecture!r}; use one of {', '.join(ARCHITECTURES)}")
    return ResNetTrunk(
        int(match["depth"]),
        norm=cast(Norm, match["norm"] or "none"),
        final_layer=int(match["layer"] or 3),
    )
