"""Depthwise convolution whose gradient is not slow in bfloat16 on a CPU.

Measured with torch 2.13 on an AVX-512 machine: the bfloat16 gradient of a depthwise convolution
with a 5x5 kernel or with stride 2 takes 2 to 12 times as long as the float32 one; the forward pass
and the 3x3 kernel at stride 1 do not suffer. At stride 1 the images' gradient is a forward pass
with the kernel turned round, which is 2 to 30 times as fast as torch's own (most where dilated).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` with one group per channel; weights and values are the same.

    Args:
        channels: Channels of input and output.
        kernel: Side of the kernel, odd.
        stride: 1 or 2.
        dilation: Distance of the kernel's places.
    """

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__(
            channels,
            channels,
            kernel,
            stride,
            dilation * (kernel // 2),
            dilation,
            groups=channels,
            bias=False,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `[N, C, H, W]`."""
        easy = self.kernel_size[0] == 3 and self.stride[0] == self.dilation[0] == 1
        training = torch.is_grad_enabled() and input.device.type == "cpu"
        if easy or not training or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        compact = input.to(torch.get_autocast_dtype("cpu"))
        found: Tensor = _MixedDepthwise.apply(  # type: ignore[no-untyped-call]
            compact, self.weight, self.stride[0], self.padding[0], self.dilation[0]
        )
        return found


class _MixedDepthwise(Function):
    """Forward in the input's type, the weights' gradient in float32."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int, dilation: int
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.shape = stride, padding, dilation
        return functional.conv2d(
            images, weight.to(images.dtype), None, stride, padding, dilation, images.shape[1]
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.shape
        wants_images, wants_weight = ctx.needs_input_grad[:2]
        to_images = None
        turned = stride == 1 and wants_images
        if turned:
            kernel = weight.flip(2, 3).to(images.dtype)
            to_images = functional.conv2d(
                gradients[0].to(images.dtype), kernel, None, 1, padding, dilation, images.shape[1]
            )
        wanted = [wants_images and not turned, wants_weight, False]
        to_weight = None
        if any(wanted):
            found, to_weight, _ = torch.ops.aten.convolution_backward(
                gradients[0].float(),
                images.float(),
                weight.float(),
                None,
                [stride, stride],
                [padding, padding],
                [dilation, dilation],
                False,
                [0, 0],
                images.shape[1],
                wanted,
            )
            if found is not None:
                to_images = found.to(images.dtype)
        return to_images, to_weight, None, None, None
