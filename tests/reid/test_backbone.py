"""Networks: strides, channels, necks by version, and where instance norms sit."""

import pytest
import torch
from torch import nn

from streamreid.reid.backbone import ARCHITECTURES, MapNetwork, build, make_neck
from streamreid.reid.resnet_ibn import ResNetTrunk, SplitNorm
from tests.golden_data import load_golden


@pytest.mark.parametrize("version", ["2.1", "1.0"])
def test_neck_equals_the_published_one(version: str) -> None:
    golden = load_golden("neck")
    tag = "v21" if version == "2.1" else "v10"
    neck = make_neck(128, 16, version=version).eval()  # type: ignore[arg-type]
    names = {"neck_conv": "0", "neck_bn": "1"}
    state = {}
    for name, value in golden.items():
        for published, number in names.items():
            if name.startswith(f"{tag}_{published}_"):
                state[f"{number}.{name.removeprefix(f'{tag}_{published}_')}"] = torch.as_tensor(
                    value
                )
    neck.load_state_dict(state)
    with torch.no_grad():
        out = nn.functional.normalize(neck(torch.as_tensor(golden[f"{tag}_input"])), dim=1)
    expected = torch.as_tensor(golden[f"{tag}_output"])
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "channels", "stride"),
    [
        ("resnet18", 256, 16),
        ("resnet18_ibn_a_layer2", 128, 8),
        ("resnet34_ibn_b_layer4", 512, 32),
        ("resnet50_ibn_b", 1024, 16),
        ("resnet50_ibn_a_layer2", 512, 8),
        ("osnet_x0_25", 128, 16),
        ("osnet_x1_0", 512, 16),
        ("lite0_in", 112, 16),
        ("lite0_in_stage7", 192, 16),
    ],
)
def test_trunk_channels_and_stride(architecture: str, channels: int, stride: int) -> None:
    network = build(architecture, neck_channels=0).eval()
    with torch.inference_mode():
        maps = network(torch.rand(1, 3, 64, 32))
    assert (network.channels, network.stride) == (channels, stride)
    assert maps.shape == (1, channels, 64 // stride, 32 // stride)
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(maps[:, 0].shape))


_WIDTHS = {"lite0": 112, "lite0_in": 112, "lite0_in_stage7": 192}
_WIDTHS |= {"osnet_x0_25": 128, "osnet_x0_5": 256, "osnet_x0_75": 384, "osnet_x1_0": 512}


_DEEP = ("resnet101", "resnet152")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith(_DEEP) else [])
        for name in ARCHITECTURES
    ],
)
def test_every_named_network_gives_maps_at_every_cut(name: str) -> None:
    """Shapes only, without memory or arithmetic: widths as published, neck of 16 channels."""
    cuts = {"": 16}
    if name.startswith("resnet"):
        cuts |= {"_layer2": 8, "_layer4": 32}
    deep = name.split("_", maxsplit=1)[0] in ("resnet50", "resnet101", "resnet152")
    layer = {"_layer2": 128, "": 256, "_layer4": 512}
    for cut, stride in cuts.items():
        with torch.device("meta"):
            network = build(name + cut, neck_channels=16).eval()
            images = torch.empty(2, 3, 384, 128)
            trunk, maps = network.trunk(images), network(images)
        expected = _WIDTHS.get(name) or layer[cut] * (4 if deep else 1)
        assert trunk.shape == (2, expected, 384 // stride, 128 // stride)
        assert maps.shape == (2, 16, 384 // stride, 128 // stride)


@pytest.mark.parametrize("depth", [101, 152])
def test_deep_networks_have_the_published_number_of_blocks(depth: int) -> None:
    with torch.device("meta"):
        trunk = ResNetTrunk(depth)
    blocks = [len(getattr(trunk, f"layer{n}")) for n in (1, 2, 3)]
    assert blocks == {101: [3, 4, 23], 152: [3, 8, 36]}[depth]


def test_resnet50_has_the_published_number_of_weights() -> None:
    """25,557,032 in all, less the 2,049,000 of the classifier (He et al., table 1)."""
    with torch.device("meta"):
        trunk = ResNetTrunk(50, final_layer=4)
    assert sum(p.numel() for p in trunk.parameters()) == 25_557_032 - 2_049_000


@pytest.mark.parametrize(
    ("architecture", "instance", "split"),
    [("resnet18", 0, 0), ("resnet18_ibn_b", 3, 0), ("resnet18_ibn_a", 6, 6), ("lite0_in", 3, 0)],
)
def test_places_of_instance_norm(architecture: str, instance: int, split: int) -> None:
    modules = list(build(architecture).modules())
    assert sum(isinstance(m, nn.InstanceNorm2d) for m in modules) == instance
    assert sum(isinstance(m, SplitNorm) for m in modules) == split


def test_instance_norms_of_kind_b_close_the_first_two_layers() -> None:
    trunk = ResNetTrunk(50, norm="b")
    for number, count in ((1, 3), (2, 4), (3, 6)):
        has_norm = [block.IN is not None for block in getattr(trunk, f"layer{number}")]
        assert has_norm == [False] * (count - 1) + [number < 3]


@pytest.mark.parametrize("name", ["resnet19", "resnet50_ibn_c", "osnet_x2", "resnet50_layer1", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="use"):
        build(name)


def test_maps_do_not_depend_on_the_batch() -> None:
    network: MapNetwork = build("resnet18_ibn_b", neck_channels=8).eval()
    images = torch.rand(3, 3, 64, 32)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_with_flip_a_mirror_image_gets_the_mirrored_maps() -> None:
    images = torch.rand(2, 3, 64, 32)
    plain = build("lite0_in", neck_channels=8).eval()
    both = MapNetwork(plain.trunk, neck_channels=8, flip=True).eval()
    both.neck.load_state_dict(plain.neck.state_dict())
    with torch.inference_mode():
        maps, mirrored = both(images), both(images.flip(3))
        single = plain(images)
    torch.testing.assert_close(mirrored, maps.flip(3), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(maps[:, 0].shape))
    assert not torch.allclose(maps, single, atol=1e-2)
    both.train()
    assert len(both(images)) == len(images)
    assert not torch.allclose(both(images.flip(3)), both(images).flip(3), atol=1e-2)
