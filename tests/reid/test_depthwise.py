"""The depthwise convolution with the fast gradient: values and gradients of `nn.Conv2d`."""

import pytest
import torch
from torch import Tensor, nn

from streamreid.reid.depthwise import DepthwiseConv2d

KERNELS = pytest.mark.parametrize("kernel", [3, 5])
STRIDES = pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])


def _pair(kernel: int, stride: int, dilation: int) -> tuple[DepthwiseConv2d, nn.Conv2d]:
    torch.manual_seed(kernel + stride)
    ours = DepthwiseConv2d(8, kernel, stride, dilation)
    padding = dilation * (kernel // 2)
    plain = nn.Conv2d(8, 8, kernel, stride, padding, dilation, groups=8, bias=False)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def _images() -> Tensor:
    return torch.randn(3, 8, 13, 9, generator=torch.Generator().manual_seed(7))


def _gradients(layer: nn.Conv2d, *, bfloat16: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Output, gradient of the images and gradient of the weights, float32."""
    images = _images().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        found = layer(images)
    kept = found.detach().float()
    (found.float() * kept.cos()).sum().backward()
    assert images.grad is not None
    assert layer.weight.grad is not None
    return kept, images.grad, layer.weight.grad


@KERNELS
@STRIDES
def test_values_are_those_of_the_plain_layer(kernel: int, stride: int, dilation: int) -> None:
    ours, plain = _pair(kernel, stride, dilation)
    torch.testing.assert_close(ours(_images()), plain(_images()), rtol=0, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = ours(_images()), plain(_images())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@KERNELS
@STRIDES
def test_gradients_in_float32_are_exact(kernel: int, stride: int, dilation: int) -> None:
    ours, plain = _pair(kernel, stride, dilation)
    for found, expected in zip(
        _gradients(ours, bfloat16=False), _gradients(plain, bfloat16=False), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@KERNELS
@STRIDES
def test_gradients_in_bfloat16_are_those_of_float32(
    kernel: int, stride: int, dilation: int
) -> None:
    ours, plain = _pair(kernel, stride, dilation)
    found = _gradients(ours, bfloat16=True)
    expected = _gradients(plain, bfloat16=False)
    # bfloat16 keeps 8 bits; a weight's gradient is a sum over 3 x 13 x 9 rounded products.
    for got, wanted in zip(found, expected, strict=True):
        assert float((got - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


def test_frozen_weights_get_no_gradient_but_the_images_do() -> None:
    ours, _ = _pair(5, 2, 1)
    ours.weight.requires_grad_(False)
    images = _images().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours(images).float().sum().backward()
    assert ours.weight.grad is None
    assert images.grad is not None
