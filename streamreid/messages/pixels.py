"""Crop pixels to bytes and back: raw rows on one host, JPEG between hosts."""

import io
import struct

import numpy as np

from streamreid.errors import MessageError
from streamreid.messages.limits import MAX_PART_BYTES
from streamreid.types import UInt8Array

Part = bytes | memoryview


def encode_pixels(image: UInt8Array, jpeg_quality: int | None) -> bytes:
    """Pixels of a crop as raw bytes, row by row, or as a JPEG file."""
    if jpeg_quality is None:
        return image.tobytes()
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue()


def decode_pixels(body: Part, height: int, width: int, encoding: str) -> UInt8Array:
    """RGB pixels, shape `(height, width, 3)`; the declared size is checked before decoding."""
    size = height * width * 3
    if size > MAX_PART_BYTES:
        raise MessageError(
            f"a crop has at most {MAX_PART_BYTES} bytes of pixels, {width}x{height} is more",
            reason="size",
        )
    if encoding == "jpeg":
        return _decode_jpeg(body, height, width)
    if len(body) != size:
        raise MessageError(
            f"{width}x{height} pixels take {size} bytes, got {len(body)}", reason="body"
        )
    return np.frombuffer(body, np.uint8).reshape(height, width, 3)


def _decode_jpeg(body: Part, height: int, width: int) -> UInt8Array:
    """Pixels of a JPEG whose own size is the declared one."""
    # The plug-in class reads the size without decoding, so a huge picture is never unpacked.
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        picture = JpegImageFile(io.BytesIO(body))
        if picture.size != (width, height):
            raise MessageError(
                f"the JPEG is {picture.size[0]}x{picture.size[1]}, declared {width}x{height}",
                reason="body",
            )
        return np.asarray(picture.convert("RGB")).copy()
    except (OSError, SyntaxError, ValueError, IndexError, TypeError, KeyError, struct.error) as exc:
        raise MessageError("the JPEG of a crop cannot be read", reason="body") from exc
