"""The gallery as one file: written in seconds, read in seconds, refused when it does not fit."""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streamreid.errors import StoreError
from streamreid.gallery.ring import MapLayout, Ring
from streamreid.gallery.scorer import GalleryEntry
from streamreid.reid.matching import FeatureMaps
from streamreid.types import CameraId, CropKey, TrackKey

_FORMAT = "1"
_KEY = "streamreid_gallery"


def save_gallery(ring: Ring, path: Path, *, weights_digest: str) -> int:
    """Write every live entry; the file replaces an older one only when it is complete.

    Args:
        ring: The gallery.
        path: Where to; readable by the owner only, since it holds what people look like.
        weights_digest: Digest of the weights that made the maps.

    Returns:
        Number of entries written.

    Raises:
        StoreError: If the file cannot be written.
    """
    slots = ring.live
    chosen = torch.from_numpy(slots)
    entries = ring.entries(slots)
    cameras = sorted({entry.camera_id for entry in entries})
    number = {camera: index for index, camera in enumerate(cameras)}
    tensors: dict[str, Tensor] = {
        "maps": ring.maps[chosen].cpu(),
        "vectors": ring.vectors[chosen].cpu(),
        "entry_id": torch.from_numpy(ring.entry_id[slots]),
        "track": torch.from_numpy(ring.track[slots]),
        "time_s": torch.from_numpy(ring.time_s[slots]),
        "camera": torch.tensor([number[entry.camera_id] for entry in entries], dtype=torch.int64),
    }
    if ring.scales is not None:
        tensors["scales"] = ring.scales[chosen].cpu()
    header = {
        "format": _FORMAT,
        "weights_digest": weights_digest,
        "cameras": cameras,
        "layout": _describe(ring.layout),
    }
    partial = path.with_name(path.name + ".partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        save_file(tensors, partial, metadata={_KEY: json.dumps(header)})
        partial.chmod(0o600)
        partial.replace(path)
    except (OSError, SafetensorError) as exc:
        raise StoreError(
            f"gallery snapshot {path} cannot be written: {exc}; check the folder and the disk"
        ) from exc
    return len(slots)


def load_gallery(ring: Ring, path: Path, *, weights_digest: str) -> int:
    """Insert the entries of a snapshot.

    Args:
        ring: The gallery, with the layout of the snapshot.
        path: A file written by `save_gallery`.
        weights_digest: Digest of the weights in use.

    Returns:
        Number of entries that entered.

    Raises:
        StoreError: If the file cannot be read, or was made with other weights or another layout.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            _check(header, ring.layout, path, weights_digest)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as exc:
        raise StoreError(
            f"gallery snapshot {path} cannot be read: {exc}; delete it, the gallery is then filled "
            "from the store"
        ) from exc
    cameras = [CameraId(name) for name in header["cameras"]]
    columns = zip(
        tensors["entry_id"].tolist(),
        tensors["camera"].tolist(),
        tensors["track"].tolist(),
        tensors["time_s"].tolist(),
        strict=True,
    )
    entries = [
        GalleryEntry(CropKey(entry_id), cameras[camera], TrackKey(track), time_s)
        for entry_id, camera, track, time_s in columns
    ]
    maps = FeatureMaps(
        tensors["maps"], ring.layout.height, ring.layout.width, tensors.get("scales")
    )
    return ring.insert(entries, maps, tensors["vectors"])


def _describe(layout: MapLayout) -> list[str | int]:
    return [
        layout.height,
        layout.width,
        layout.channels,
        str(layout.map_dtype),
        layout.vector_size,
        str(layout.vector_dtype),
    ]


def _check(header: dict[str, object], layout: MapLayout, path: Path, weights_digest: str) -> None:
    found = {key: header.get(key) for key in ("format", "weights_digest", "layout")}
    expected = {
        "format": _FORMAT,
        "weights_digest": weights_digest,
        "layout": _describe(layout),
    }
    for key, value in expected.items():
        if found[key] != value:
            raise StoreError(
                f"gallery snapshot {path} has {key} {found[key]!r}, this process uses {value!r}; "
                "delete it, the gallery is then filled from the store"
            )
