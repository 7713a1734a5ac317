"""Our weights on disk: a safetensors file whose header says what the tensors are."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from streamreid.errors import WeightsError

FORMAT = 1
_HEADER_KEY = "streamreid"
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns a logit into a probability: `sigmoid(scale * score + offset)`.

    Attributes:
        scale: Positive factor on the score.
        offset: Added after scaling.
        fitted_on: The pairs that both were fitted on, in words.
    """

    scale: float
    offset: float
    fitted_on: str = ""

    def probability(self, score: Tensor) -> Tensor:
        """Map logits of any shape to probabilities of the same shape."""
        return torch.sigmoid(self.scale * score + self.offset)


@dataclass(frozen=True, slots=True)
class Card:
    """What a weights file says about itself.

    Attributes:
        name: Short name, for example "qaconv-market".
        architecture: Network, see `streamreid.reid.backbone.ARCHITECTURES`.
        version: Version of the matching layer and of the neck: "2.1", "1.2" or "1.0".
        neck_channels: Channels after the neck; 0 when there is none.
        map_channels: Channels of the feature maps.
        input_size: Height and width of the images, pixels.
        map_size: Height and width of the feature maps.
        normalisation: What the network expects as input, in words.
        training_data: Data sets that the weights have seen, the first pre-training included.
        licence: Terms of use.
        calibration: From logit to probability.
        notes: Anything else, such as step count and figures.
        flip: Whether the maps of an image and of its mirror image are averaged.
    """

    name: str
    architecture: str
    version: str
    neck_channels: int
    map_channels: int
    input_size: tuple[int, int]
    map_size: tuple[int, int]
    normalisation: str
    training_data: tuple[str, ...]
    licence: str
    calibration: Calibration
    notes: str = ""
    flip: bool = False


def write(path: Path, card: Card, tensors: Mapping[str, Tensor]) -> str:
    """Write a weights file and its `.sha256` sidecar.

    Args:
        path: Ends in `.safetensors`; replaced if it exists.
        card: Goes into the header.
        tensors: Names as in the model, prefixed `network.` or `head.`.

    Returns:
        The sha256 of the file.
    """
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = {"format": FORMAT, "tensors_sha256": digest_of_tensors(stored), "card": asdict(card)}
    content = save(stored, metadata={_HEADER_KEY: json.dumps(header)})
    digest = hashlib.sha256(content).hexdigest()
    _replace(path, content)
    _replace(sidecar_of(path), f"{digest}  {path.name}\n".encode("ascii"))
    return digest


def read(path: Path) -> tuple[Card, dict[str, Tensor], str]:
    """Read a weights file and check that no byte of its tensors has changed.

    Args:
        path: A file that `write` made.

    Returns:
        Card, tensors by name, sha256 of the file.

    Raises:
        WeightsError: The file is missing, damaged, of another kind or of another format.
    """
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist; see `streamreid weights list`")
    digest = digest_of_file(path)
    _check_sidecar(path, digest)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as exc:
        raise WeightsError(
            f"{path} is no complete safetensors file ({exc}); copy it again, or turn a published "
            "torch checkpoint into one with `streamreid weights import`"
        ) from exc
    header = _header(path, metadata)
    found = digest_of_tensors(tensors)
    if header.get("tensors_sha256") != found:
        raise WeightsError(
            f"{path} is damaged: its tensors have sha256 {found}, its header says "
            f"{header.get('tensors_sha256')}; copy the file again"
        )
    return _card(path, header.get("card")), tensors, digest


def sidecar_of(path: Path) -> Path:
    """The text file beside a weights file that holds its sha256."""
    return path.with_name(path.name + ".sha256")


def digest_of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and values, in hexadecimal; the order does not matter."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it is either complete or as before."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _check_sidecar(path: Path, digest: str) -> None:
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return
    words = sidecar.read_text(encoding="ascii", errors="replace").split()
    if not words or words[0] != digest:
        raise WeightsError(
            f"{path} has sha256 {digest}, but {sidecar.name} says "
            f"{words[0] if words else 'nothing'}; the file is damaged or was "
            "exchanged: copy it again together with its .sha256"
        )


def _header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    text = metadata.get(_HEADER_KEY)
    if text is None:
        raise WeightsError(
            f"{path} is a safetensors file without a streamreid header; import published weights "
            "with `streamreid weights import`"
        )
    try:
        header: dict[str, Any] = json.loads(text)
    except ValueError as exc:
        raise WeightsError(f"{path} has a damaged header: {exc}; copy the file again") from exc
    if header.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has weights format {header.get('format')!r}, this version reads {FORMAT}; "
            "use the streamreid version that wrote it"
        )
    return header


def _card(path: Path, raw: object) -> Card:
    try:
        fields: dict[str, Any] = dict(raw)  # type: ignore[call-overload]
        for name in ("input_size", "map_size", "training_data"):
            fields[name] = tuple(fields[name])
        return Card(**{**fields, "calibration": Calibration(**fields["calibration"])})
    except (TypeError, KeyError, ValueError) as exc:
        raise WeightsError(f"{path} has an incomplete header ({exc}); copy the file again") from exc
