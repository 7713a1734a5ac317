"""EfficientNet-Lite0: shapes, published weights, and what instance norm is there for."""

import pytest
import torch

from streamreid.errors import WeightsError
from streamreid.reid.backbone import build
from streamreid.reid.imagenet import (
    calibrate_instance_norms,
    imagenet_network,
    lite0_weights_path,
)
from streamreid.reid.lite0 import Lite0Trunk, load_published


def published() -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(lite0_weights_path(), weights_only=True)
    return state


@pytest.mark.parametrize(("instance_norm", "stage"), [(False, 6), (True, 6), (True, 7)])
@pytest.mark.parametrize("size", [(64, 32), (384, 128)], ids=str)
def test_trunk_keeps_one_sixteenth_of_the_image(
    instance_norm: bool, stage: int, size: tuple[int, int]
) -> None:
    trunk = Lite0Trunk(instance_norm=instance_norm, final_stage=stage).eval()
    with torch.no_grad():
        out = trunk(torch.rand(1, 3, *size))
    assert out.shape == (1, trunk.channels, size[0] // 16, size[1] // 16)


@pytest.mark.parametrize("stage", [6, 7])
def test_published_weights_fill_every_tensor(stage: int) -> None:
    torch.manual_seed(0)
    trunk = Lite0Trunk(instance_norm=False, final_stage=stage)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    load_published(trunk, published())
    unchanged = [
        name
        for name, value in trunk.state_dict().items()
        if value.is_floating_point() and torch.equal(value, before[name])
    ]
    assert unchanged == []


def test_published_weights_fit_their_batch_norm_statistics() -> None:
    """The input range is right when activations have the spread that the stored statistics say."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(8, 3, 12, 8, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=(192, 128), mode="bicubic").clamp(0, 1)
    network = imagenet_network("lite0", neck_channels=0)
    with torch.no_grad():
        features = network.trunk(images)
    norm = network.trunk.blocks[10].project[1]  # type: ignore[index,union-attr]
    ratio = features.std(dim=(0, 2, 3)) / norm.weight.detach().abs()
    assert 0.2 < float(ratio.median()) < 5.0


@pytest.mark.parametrize(
    ("change", "words"),
    [("missing", "_conv_stem.weight.* is missing"), ("shape", r"has shape \(1, 2\)")],
)
def test_damaged_published_weights_are_named(change: str, words: str) -> None:
    state = published()
    if change == "missing":
        del state["_conv_stem.weight"]
    else:
        state["_conv_stem.weight"] = torch.zeros(1, 2)
    with pytest.raises(WeightsError, match=words):
        load_published(Lite0Trunk(), state)


def test_instance_norm_removes_a_cameras_contrast_and_brightness() -> None:
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(2, 3, 64, 32, generator=generator) * 0.4 + 0.3
    dull = images * 0.5 + 0.2

    def change(architecture: str) -> float:
        network = imagenet_network(architecture, neck_channels=0)
        with torch.no_grad():
            maps, dull_maps = network(images), network(dull)
        return float((maps - dull_maps).norm(dim=1)[:, 1:-1].mean())

    assert change("lite0_in") < 0.7 * change("lite0")


def test_calibrated_instance_norms_keep_mean_and_spread() -> None:
    network = imagenet_network("lite0_in", neck_channels=0)
    trunk = network.trunk
    assert isinstance(trunk, Lite0Trunk)
    images = torch.rand(4, 3, 64, 32, generator=torch.Generator().manual_seed(3))
    inputs: list[torch.Tensor] = []
    norm = trunk.blocks[2].instance_norm
    hook = norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))  # type: ignore[union-attr]
    calibrate_instance_norms(trunk, images, batch_size=2)
    hook.remove()
    seen = torch.cat(inputs[:2])
    torch.testing.assert_close(norm.bias, seen.mean(dim=(0, 2, 3)))  # type: ignore[union-attr]
    torch.testing.assert_close(norm.weight, seen.var(dim=(0, 2, 3)).sqrt())  # type: ignore[union-attr]


def test_neck_seed_decides_the_only_random_part() -> None:
    first, again, other = (imagenet_network("lite0", neck_channels=8, seed=s) for s in (1, 1, 2))
    torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.neck[0].weight, other.neck[0].weight)  # type: ignore[index]


def test_unknown_architectures_are_named() -> None:
    with pytest.raises(ValueError, match="lite0_in"):
        build("lite1")
    with pytest.raises(WeightsError, match="lite0_in"):
        imagenet_network("resnet50", neck_channels=0)
