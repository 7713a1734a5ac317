"""Published QAConv checkpoints: recognised by their names, or refused with a reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from streamreid.errors import WeightsError
from streamreid.reid.backbone import build
from streamreid.reid.qaconv import QAConv
from streamreid.reid.reference_checkpoint import read_checkpoint

SIZE = (64, 32)


def published_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"trunk.": "base.", "neck.0.": "neck_conv.", "neck.1.": "neck_bn."}
    renamed = {}
    for name, value in state.items():
        for ours, theirs in names.items():
            if name.startswith(ours):
                renamed[theirs + name.removeprefix(ours)] = value
    return renamed


def make_checkpoint(
    path: Path, architecture: str, *, version: str, neck: int, prefix: str = "matcher."
) -> tuple[Any, QAConv]:
    """A file as the published code writes it: whole trunk with classifier, loss, optimiser."""
    torch.manual_seed(5)
    network = build(architecture, neck_channels=neck, version="2.1" if version == "2.1" else "1.0")
    head = QAConv(network.channels, SIZE[0] // 16, SIZE[1] // 16, version=version)
    whole = build(architecture + "_layer4", neck_channels=0)
    model = published_names(whole.state_dict()) | published_names(network.state_dict())
    # The classifier of the ImageNet start, which the published code leaves in the file.
    model["base.fc.weight"] = torch.zeros(1000, 4)
    model["base.fc.bias"] = torch.zeros(1000)
    criterion = {prefix + name: value for name, value in head.state_dict().items()}
    if version != "2.1":
        criterion["class_memory"] = torch.zeros(3, 4)
    torch.save({"model": model, "criterion": criterion, "optim": {"state": {}}, "epoch": 9}, path)
    return network.eval(), head.eval()


@pytest.mark.parametrize(
    ("architecture", "version", "neck", "prefix"),
    [
        ("resnet18_ibn_b", "2.1", 16, "matcher."),
        ("resnet50_ibn_b", "2.1", 16, "matcher."),
        ("resnet50_ibn_a", "1.0", 8, "matcher."),
        ("resnet18_ibn_a", "1.0", 8, "matcher."),
        ("resnet34", "1.0", 8, ""),
        ("resnet18", "2.1", 0, "module.matcher."),
    ],
)
def test_a_published_checkpoint_gives_the_same_scores(
    tmp_path: Path, architecture: str, version: str, neck: int, prefix: str
) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    network, head = make_checkpoint(path, architecture, version=version, neck=neck, prefix=prefix)
    imported = read_checkpoint(path, input_size=SIZE)
    assert imported.architecture == architecture
    assert imported.version == version
    assert imported.neck_channels == neck
    images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        expected = head(network(images), network(images))
        maps = imported.network(images)
        torch.testing.assert_close(imported.head(maps, maps), expected, rtol=0, atol=0)


def _no_neck_bias(content: dict[str, Any]) -> None:
    del content["model"]["neck_conv.bias"]


def _no_criterion(content: dict[str, Any]) -> None:
    del content["criterion"]


def _wrong_locations(content: dict[str, Any]) -> None:
    content["criterion"]["matcher.fc.weight"] = torch.zeros(1, 192)


def _one_block_less(content: dict[str, Any]) -> None:
    for name in [n for n in content["model"] if ".layer2.1." in n]:
        del content["model"][name]


def _empty_criterion(content: dict[str, Any]) -> None:
    content["criterion"] = {"margin": torch.zeros(1)}


def _poisoned_trunk(content: dict[str, Any]) -> None:
    content["model"]["base.layer1.0.conv1.weight"][0, 0, 0, 0] = torch.nan


def _narrow_trunk(content: dict[str, Any]) -> None:
    content["model"]["base.layer2.0.conv2.weight"] = torch.zeros(128, 64, 3, 3)


def _poisoned_head(content: dict[str, Any]) -> None:
    content["criterion"]["matcher.fc.bias"] = torch.tensor([torch.inf])


def _no_tensors(content: dict[str, Any]) -> None:
    content["model"] = [1, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_no_neck_bias, r"missing tensors .*'neck_conv\.bias'"),
        (_poisoned_trunk, r"'base\.layer1\.0\.conv1\.weight' has values that are not finite"),
        (
            _narrow_trunk,
            r"'base\.layer2\.0\.conv2\.weight' has shape \(128, 64, 3, 3\), expected \(128, 128",
        ),
        (_poisoned_head, r"'fc\.bias' has values that are not finite"),
        (_no_tensors, "must hold tensors by name"),
        (_no_criterion, "'criterion'"),
        (_wrong_locations, r"fc\.weight.*\(1, 192\)"),
        (_one_block_less, r"\[2, 1, 2, 2\]"),
        (_empty_criterion, "no matching layer"),
    ],
)
def test_damaged_checkpoints_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    make_checkpoint(path, "resnet18_ibn_b", version="2.1", neck=8)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(WeightsError, match=words):
        read_checkpoint(path, input_size=SIZE)


class Sneaky:
    """Stands for any object that would need code to be loaded."""


def test_files_that_need_code_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"model": Sneaky(), "criterion": {}}, path)
    with pytest.raises(WeightsError, match="plain tensors"):
        read_checkpoint(path, input_size=SIZE)


@pytest.mark.parametrize("content", [b"", b"not a torch file at all"], ids=["empty", "text"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="plain tensors"):
        read_checkpoint(path, input_size=SIZE)


def test_a_size_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    make_checkpoint(path, "resnet18", version="2.1", neck=8)
    with pytest.raises(WeightsError, match=r"\(1, 8\).*12 locations.*image size"):
        read_checkpoint(path, input_size=(96, 32))
    with pytest.raises(WeightsError, match="no multiple of the stride 16"):
        read_checkpoint(path, input_size=(100, 32))


@pytest.mark.parametrize(("cut", "stride"), [(2, 8), (4, 32)])
def test_another_cut_is_followed(tmp_path: Path, cut: int, stride: int) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    network = build(f"resnet18_layer{cut}", neck_channels=8)
    head = QAConv(8, SIZE[0] // stride, SIZE[1] // stride)
    model = published_names(build("resnet18_layer4", neck_channels=0).state_dict())
    model |= published_names(network.state_dict())
    criterion = {f"matcher.{name}": value for name, value in head.state_dict().items()}
    torch.save({"model": model, "criterion": criterion}, path)
    imported = read_checkpoint(path, input_size=SIZE, final_layer=cut)
    assert imported.architecture == f"resnet18_layer{cut}"
    assert (imported.head.height, imported.network.stride) == (SIZE[0] // stride, stride)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pth", input_size=SIZE)
