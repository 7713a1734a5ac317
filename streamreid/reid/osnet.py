"""OSNet from width x0.25 to x1.0, whole or cut at stride 16.

Parameter names are those of the published checkpoints, so that these load as they are.
Source: Zhou et al., ICCV 2019 (arXiv 1905.00953); names as in KaiyangZhou/deep-person-reid (MIT).
"""

import torch
from torch import Tensor, nn

WIDTHS: dict[str, tuple[int, int, int, int]] = {
    "x0_25": (16, 64, 96, 128),
    "x0_5": (32, 128, 192, 256),
    "x0_75": (48, 192, 288, 384),
    "x1_0": (64, 256, 384, 512),
}
_STREAMS = "abcd"
_REDUCTION = 4
_GATE_REDUCTION = 16
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class ConvLayer(nn.Module):
    """Convolution, batch norm, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: 1 or 7.
        stride: Stride of the convolution.
        activate: False leaves the ReLU out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True) if activate else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Map `[N, in, H, W]` to `[N, out, H / stride, W / stride]`."""
        out: Tensor = self.relu(self.bn(self.conv(features)))
        return out


class LightConv3x3(nn.Module):
    """1x1 convolution without activation, then a depthwise 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Map `[N, C, H, W]` to the same shape."""
        out: Tensor = self.relu(self.bn(self.conv2(self.conv1(features))))
        return out


class ChannelGate(nn.Module):
    """Weights each channel by a small network on its mean; shared by the four streams."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // _GATE_REDUCTION
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.fc2 = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Scale `[N, C, H, W]` channel by channel."""
        mean = features.mean(dim=(2, 3), keepdim=True)
        return features * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class OmniScaleBlock(nn.Module):
    """Four streams of one to four light convolutions, gated, added, plus the input.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner = out_channels // _REDUCTION
        self.conv1 = ConvLayer(in_channels, inner)
        self.conv2a = LightConv3x3(inner)
        for depth, stream in enumerate(_STREAMS[1:], start=2):
            layers = nn.Sequential(*(LightConv3x3(inner) for _ in range(depth)))
            setattr(self, f"conv2{stream}", layers)
        self.gate = ChannelGate(inner)
        self.conv3 = ConvLayer(inner, out_channels, activate=False)
        self.downsample: nn.Module | None = (
            ConvLayer(in_channels, out_channels, activate=False)
            if in_channels != out_channels
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `[N, in, H, W]` to `[N, out, H, W]`."""
        inner = self.conv1(features)
        streams = [self.gate(getattr(self, f"conv2{stream}")(inner)) for stream in _STREAMS]
        out = self.conv3(torch.stack(streams).sum(dim=0))
        kept = features if self.downsample is None else self.downsample(features)
        return torch.relu(out + kept)


class OSNetTrunk(nn.Module):
    """OSNet up to its last feature map, stride 16.

    Args:
        width: "x0_25", "x0_5", "x0_75" or "x1_0".

    Raises:
        ValueError: If the width is another one.
    """

    stride = 16
    mean: Tensor
    std: Tensor

    def __init__(self, width: str) -> None:
        super().__init__()
        if width not in WIDTHS:
            raise ValueError(f"OSNet width {width!r}; use one of {sorted(WIDTHS)}")
        first, second, third, last = WIDTHS[width]
        self.channels = last
        self.conv1 = ConvLayer(3, first, kernel=7, stride=2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = _stage(first, second, shrink=True)
        self.conv3 = _stage(second, third, shrink=True)
        self.conv4 = _stage(third, last, shrink=False)
        self.conv5 = ConvLayer(last, last)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB `[N, 3, H, W]` in [0, 1] to `[N, channels, H / 16, W / 16]`."""
        features = self.maxpool(self.conv1((images - self.mean) / self.std))
        out: Tensor = self.conv5(self.conv4(self.conv3(self.conv2(features))))
        return out


class OSNetEmbedding(nn.Module):
    """The whole published network: one 512-dimensional vector per image, the baseline.

    Args:
        width: See `OSNetTrunk`.
    """

    def __init__(self, width: str) -> None:
        super().__init__()
        self.trunk = OSNetTrunk(width)
        self.fc = nn.Sequential(
            nn.Linear(self.trunk.channels, 512), nn.BatchNorm1d(512), nn.ReLU(inplace=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB `[N, 3, H, W]` in [0, 1] to vectors `[N, 512]`, not normalised."""
        vectors: Tensor = self.fc(self.trunk(images).mean(dim=(2, 3)))
        return vectors


def _stage(in_channels: int, out_channels: int, *, shrink: bool) -> nn.Sequential:
    blocks: list[nn.Module] = [
        OmniScaleBlock(in_channels, out_channels),
        OmniScaleBlock(out_channels, out_channels),
    ]
    if shrink:
        blocks.append(nn.Sequential(ConvLayer(out_channels, out_channels), nn.AvgPool2d(2, 2)))
    return nn.Sequential(*blocks)
