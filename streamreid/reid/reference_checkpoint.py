"""Read a checkpoint of the published QAConv training code and give it our names.

Source: format of ShengcaiLiao/QAConv v1.0 to v2.1: a torch file with `model` (`base.*`,
`neck_conv.*`, `neck_bn.*`) and `criterion` (the matching layer, from v1.2 on below `matcher.`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from streamreid.errors import WeightsError
from streamreid.reid import backbone
from streamreid.reid.backbone import MapNetwork
from streamreid.reid.qaconv import QAConv

_HEAD_NAMES = re.compile(r"(?:.*\.)?((?:bn|fc|logit_bn)\.\w+)")
_LAYER = re.compile(r"layer([1-4])\.(\d+)\.")
_PUBLISHED = {"base.": "trunk.", "neck_conv.": "neck.0.", "neck_bn.": "neck.1."}


@dataclass(frozen=True, slots=True, eq=False)
class ImportedModel:
    """A published model in our classes.

    Attributes:
        network: Trunk and neck, evaluation mode.
        head: Matching layer, evaluation mode.
        architecture: Name for `streamreid.reid.backbone.build`.
        version: "2.1" or "1.0", read off the neck and the matching layer.
        neck_channels: Channels of the maps; 0 without a neck.
    """

    network: MapNetwork
    head: QAConv
    architecture: str
    version: str
    neck_channels: int


def read_checkpoint(
    path: Path, *, input_size: tuple[int, int], final_layer: int = 3
) -> ImportedModel:
    """Read a published checkpoint without running code from it.

    Depth, norms, neck and version follow from names and shapes; only what the file does not hold
    has to be said.

    Args:
        path: The torch file, usually `checkpoint.pth.tar`.
        input_size: Height and width of the images it was trained on, pixels.
        final_layer: Layer after which the trunk was cut.

    Raises:
        WeightsError: The file is no such checkpoint, or does not fit the size or the layer.
    """
    model, criterion = _sections(path)
    base = _below(model, "base.")
    architecture = _architecture(path, base, final_layer)
    version, neck_channels = _neck(model)
    try:
        network = backbone.build(
            architecture,
            neck_channels=neck_channels,
            version="2.1" if version == "2.1" else "1.0",
        )
    except ValueError as exc:
        raise WeightsError(f"{path}: {exc}") from exc
    _load_network(path, network, model, final_layer)
    if any(side % network.stride for side in input_size):
        raise WeightsError(
            f"{path}: image size {input_size} is no multiple of the stride {network.stride}"
        )
    height, width = (side // network.stride for side in input_size)
    head = QAConv(network.channels, height, width, version=version)
    head.load_reference_state(_head_state(path, criterion))
    return ImportedModel(network.eval(), head.eval(), architecture, version, neck_channels)


def _sections(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    if not path.is_file():
        raise WeightsError(f"checkpoint {path} does not exist")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, UnpicklingError) as exc:
        reason = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise WeightsError(
            f"{path} cannot be read as plain tensors ({reason}); files that need code to load are "
            "refused, export the state dictionaries alone"
        ) from exc
    if not isinstance(content, Mapping) or not {"model", "criterion"} <= set(content):
        found = sorted(map(str, content))[:8] if isinstance(content, Mapping) else type(content)
        raise WeightsError(
            f"{path} is no QAConv checkpoint: it needs the entries 'model' and 'criterion', found "
            f"{found}"
        )
    return _tensors(path, content["model"]), _tensors(path, content["criterion"])


def _tensors(path: Path, section: object) -> dict[str, Tensor]:
    if not isinstance(section, Mapping):
        raise WeightsError(f"{path}: 'model' and 'criterion' must hold tensors by name")
    return {
        str(name).removeprefix("module."): value
        for name, value in section.items()
        if isinstance(value, Tensor)
    }


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}


def _architecture(path: Path, base: Mapping[str, Tensor], final_layer: int) -> str:
    """Recognise depth by the number of blocks and the kind of block, norms by their names."""
    counts = [0, 0, 0, 0]
    for name in base:
        match = _LAYER.match(name)
        if match:
            layer = int(match[1]) - 1
            counts[layer] = max(counts[layer], int(match[2]) + 1)
    bottleneck = any(".conv3." in name for name in base)
    depths: dict[tuple[int | bool, ...], int] = {
        (2, 2, 2, 2, False): 18,
        (3, 4, 6, 3, False): 34,
        (3, 4, 6, 3, True): 50,
        (3, 4, 23, 3, True): 101,
        (3, 8, 36, 3, True): 152,
    }
    depth = depths.get((*counts, bottleneck))
    if depth is None:
        raise WeightsError(
            f"{path}: blocks per layer {counts} are those of no ResNet-18, 34, 50, 101 or 152"
        )
    norm = ""
    if any(name.startswith("layer1.0.bn1.IN.") for name in base):
        norm = "_ibn_a"
    elif "bn1.running_mean" not in base:
        norm = "_ibn_b"
    suffix = "" if final_layer == 3 else f"_layer{final_layer}"
    return f"resnet{depth}{norm}{suffix}"


def _neck(model: Mapping[str, Tensor]) -> tuple[str, int]:
    weight = model.get("neck_conv.weight")
    version = "2.1" if "neck_bn.weight" not in model else "1.0"
    return version, 0 if weight is None else int(weight.shape[0])


def _load_network(
    path: Path, network: MapNetwork, model: Mapping[str, Tensor], final_layer: int
) -> None:
    """Rename and load; layers behind the cut and the classifier are left out."""
    own = network.state_dict()
    needed = {_published_name(name): name for name in own}
    given = {name: value for name, value in model.items() if _is_used(name, final_layer)}
    missing = [n for n in needed if n not in given and not n.endswith("num_batches_tracked")]
    unknown = [n for n in given if n not in needed]
    if missing or unknown:
        raise WeightsError(
            f"{path}: missing tensors {missing[:5]}, unknown tensors {unknown[:5]}; is the final "
            f"layer really {final_layer}?"
        )
    for name, value in given.items():
        target = own[needed[name]]
        if value.shape != target.shape:
            raise WeightsError(
                f"{path}: tensor {name!r} has shape {tuple(value.shape)}, expected "
                f"{tuple(target.shape)} for this architecture"
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(
                f"{path}: tensor {name!r} has values that are not finite; the training had "
                "diverged or the file is damaged, use another checkpoint"
            )
        own[needed[name]] = value
    network.load_state_dict(own)


def _published_name(name: str) -> str:
    """Name in a published file of a tensor of `MapNetwork`."""
    for theirs, ours in _PUBLISHED.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _is_used(name: str, final_layer: int) -> bool:
    """Whether a tensor of a published file belongs to trunk or neck, up to the cut."""
    if name.startswith("base.fc.") or not name.startswith(tuple(_PUBLISHED)):
        return False
    match = _LAYER.match(name.removeprefix("base."))
    return match is None or int(match[1]) <= final_layer


def _head_state(path: Path, criterion: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, value in criterion.items():
        match = _HEAD_NAMES.fullmatch(name)
        if match:
            state[match[1]] = value
    if not state:
        raise WeightsError(
            f"{path}: 'criterion' holds no matching layer (bn, fc, logit_bn); found "
            f"{sorted(criterion)[:5]}"
        )
    return state
