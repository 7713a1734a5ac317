"""ResNet-18 to ResNet-152 with the instance-batch norms a and b, cut after layer 2, 3 or 4.

Parameter names are those of the published ImageNet checkpoints, so that these load as they are.
Source: He et al., CVPR 2016 (arXiv 1512.03385); Pan et al., ECCV 2018 (arXiv 1807.09441); names and
the places of the norms as in XingangPan/IBN-Net (d1673389, MIT).
"""

from typing import Literal

import torch
from torch import Tensor, nn

Depth = Literal[18, 34, 50, 101, 152]
Norm = Literal["a", "b", "none"]
BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_WIDTHS = (64, 128, 256, 512)
_FIRST_BOTTLENECK_DEPTH = 50


class SplitNorm(nn.Module):
    """IBN-a: the first half of the channels by instance norm, the rest by batch norm.

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first_channels = channels // 2
        self.IN = nn.InstanceNorm2d(self.first_channels, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.first_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise `[N, C, H, W]`."""
        first, rest = torch.split(
            features, [self.first_channels, features.shape[1] - self.first_channels], dim=1
        )
        return torch.cat((self.IN(first.contiguous()), self.BN(rest.contiguous())), dim=1)


class ResidualBlock(nn.Module):
    """Basic block (two 3x3 convolutions) or bottleneck (1x1, 3x3, 1x1).

    Args:
        in_channels: Channels of the input.
        width: Channels of the inner convolutions.
        stride: Stride of the 3x3 convolution that carries it.
        bottleneck: Which of the two forms.
        split_norm: IBN-a on the first norm.
        instance_norm: IBN-b: instance norm after the addition.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int,
        bottleneck: bool,
        split_norm: bool,
        instance_norm: bool,
    ) -> None:
        super().__init__()
        out_channels = width * (4 if bottleneck else 1)
        first_stride = 1 if bottleneck else stride
        kernel = 1 if bottleneck else 3
        self.conv1 = nn.Conv2d(in_channels, width, kernel, first_stride, kernel // 2, bias=False)
        self.bn1: nn.Module = SplitNorm(width) if split_norm else nn.BatchNorm2d(width)
        second_stride = stride if bottleneck else 1
        self.conv2 = nn.Conv2d(width, width, 3, second_stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.bottleneck = bottleneck
        if bottleneck:
            self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(out_channels)
        self.IN: nn.Module | None = (
            nn.InstanceNorm2d(out_channels, affine=True) if instance_norm else None
        )
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, features: Tensor) -> Tensor:
        """Map `[N, in, H, W]` to `[N, out, H / stride, W / stride]`."""
        kept = features if self.downsample is None else self.downsample(features)
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.bn2(self.conv2(out))
        if self.bottleneck:
            out = self.bn3(self.conv3(self.relu(out)))
        out = out + kept
        if self.IN is not None:
            out = self.IN(out)
        activated: Tensor = self.relu(out)
        return activated


class ResNetTrunk(nn.Module):
    """ResNet from the image to the end of one of its layers.

    Args:
        depth: 18, 34, 50, 101 or 152.
        norm: "a", "b" or "none".
        final_layer: 2, 3 or 4; strides 8, 16 and 32.

    Raises:
        ValueError: If one of them has another value.
    """

    def __init__(self, depth: int, *, norm: Norm = "none", final_layer: int = 3) -> None:
        super().__init__()
        if depth not in BLOCKS or norm not in ("a", "b", "none") or final_layer not in (2, 3, 4):
            raise ValueError(
                f"ResNet depth {depth}, norm {norm!r}, final layer {final_layer}: use depth "
                f"{sorted(BLOCKS)}, norm a, b or none, final layer 2, 3 or 4"
            )
        bottleneck = depth >= _FIRST_BOTTLENECK_DEPTH
        self.stride = 2 ** (final_layer + 1)
        self.channels = _WIDTHS[final_layer - 1] * (4 if bottleneck else 1)
        self.final_layer = final_layer
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1: nn.Module = (
            nn.InstanceNorm2d(64, affine=True) if norm == "b" else nn.BatchNorm2d(64)
        )
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for number in range(1, final_layer + 1):
            layer = _layer(
                channels,
                _WIDTHS[number - 1],
                BLOCKS[depth][number - 1],
                stride=1 if number == 1 else 2,
                bottleneck=bottleneck,
                split_norm=norm == "a" and number <= 3,
                instance_norm=norm == "b" and number <= 2,
            )
            setattr(self, f"layer{number}", layer)
            channels = _WIDTHS[number - 1] * (4 if bottleneck else 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB `[N, 3, H, W]` in [0, 1] to `[N, channels, H / stride, W / stride]`."""
        # No mean and standard deviation: the published matcher was trained on plain [0, 1].
        features: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for number in range(1, self.final_layer + 1):
            features = getattr(self, f"layer{number}")(features)
        return features


def _layer(
    in_channels: int,
    width: int,
    count: int,
    *,
    stride: int,
    bottleneck: bool,
    split_norm: bool,
    instance_norm: bool,
) -> nn.Sequential:
    """One stage; IBN-b puts its norm into the last block only."""
    blocks = []
    for index in range(count):
        blocks.append(
            ResidualBlock(
                in_channels,
                width,
                stride=stride if index == 0 else 1,
                bottleneck=bottleneck,
                split_norm=split_norm,
                instance_norm=instance_norm and index == count - 1,
            )
        )
        in_channels = width * (4 if bottleneck else 1)
    return nn.Sequential(*blocks)
