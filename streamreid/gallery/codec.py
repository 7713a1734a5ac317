"""Feature maps as bytes: what the store keeps per crop and what travels between shards."""

import struct
from collections.abc import Sequence

import numpy as np
import torch

from streamreid.reid.feature_maps import needs_scale
from streamreid.reid.matching import FeatureMaps

# version, dtype, height, width, channels, scale
_HEADER = struct.Struct("<BBHHHf")
_VERSION = 1
_DTYPES = {
    1: torch.float32,
    2: torch.float16,
    3: torch.bfloat16,
    4: torch.int8,
    5: torch.float8_e4m3fn,
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_RAW = {4: np.int32, 2: np.int16, 1: np.int8}


def encode_maps(maps: FeatureMaps) -> tuple[bytes, ...]:
    """Write each map as a 12-byte header (version, dtype, size, scale) and its raw values.

    Args:
        maps: Packed maps on any device.

    Returns:
        One bytes object per map, values location-major and little-endian.
    """
    data = maps.data.detach().cpu().contiguous()
    raw = data.view(_torch_raw(data.dtype)).numpy()
    scales = [1.0] * len(maps) if maps.scales is None else maps.scales.tolist()
    code = _CODES[data.dtype]
    return tuple(
        _HEADER.pack(_VERSION, code, maps.height, maps.width, maps.channels, scale) + row.tobytes()
        for row, scale in zip(raw, scales, strict=True)
    )


def decode_maps(blobs: Sequence[bytes], dtype: torch.dtype) -> FeatureMaps:
    """Read maps back and convert them to `dtype` where they were written in another one.

    Args:
        blobs: Output of `encode_maps`, at least one; all of one size and dtype.
        dtype: float32, float16, bfloat16, int8 or float8_e4m3fn.

    Returns:
        The maps on the CPU, own memory.

    Raises:
        ValueError: If a blob is of another version, damaged, or differs from the first in size.
    """
    if not blobs:
        raise ValueError("no feature maps to decode")
    first = _header(blobs[0])
    _, code, height, width, channels, _ = first
    values = height * width * channels
    stored = _DTYPES[code]
    scales = np.empty(len(blobs), np.float32)
    raw = np.empty((len(blobs), values), _RAW[stored.itemsize])
    for row, blob in enumerate(blobs):
        head = _header(blob)
        if head[:5] != first[:5]:
            raise ValueError(f"feature map {row} is {head[1:5]}, the first is {first[1:5]}")
        scales[row] = head[5]
        raw[row] = np.frombuffer(blob, raw.dtype, offset=_HEADER.size)
    data = torch.from_numpy(raw).view(stored).view(len(blobs), height * width, channels)
    maps = FeatureMaps(
        data, height, width, torch.from_numpy(scales) if needs_scale(stored) else None
    )
    return maps if stored == dtype else FeatureMaps.pack(maps.unpack(), dtype=dtype)


def _header(blob: bytes) -> tuple[int, int, int, int, int, float]:
    if len(blob) < _HEADER.size or blob[0] != _VERSION or blob[1] not in _DTYPES:
        raise ValueError(
            f"no feature map of version {_VERSION}: {len(blob)} bytes, start {blob[:4].hex()!r}"
        )
    version, code, height, width, channels, scale = _HEADER.unpack_from(blob)
    expected = _HEADER.size + height * width * channels * _DTYPES[code].itemsize
    if len(blob) != expected:
        raise ValueError(
            f"feature map of {height}x{width}x{channels} {_DTYPES[code]} must have {expected} "
            f"bytes, got {len(blob)}"
        )
    return version, code, height, width, channels, scale


def _torch_raw(dtype: torch.dtype) -> torch.dtype:
    return {4: torch.int32, 2: torch.int16, 1: torch.int8}[dtype.itemsize]
