"""Pictures of crops as JPEG bytes, one way and one quality everywhere."""

import cv2
import numpy as np

from streamreid.errors import StoreError
from streamreid.types import UInt8Array

QUALITY = 88


def encode_jpeg(image: UInt8Array, *, quality: int = QUALITY) -> bytes:
    """Encode a picture.

    Args:
        image: RGB pixels, shape `(H, W, 3)`, uint8.
        quality: JPEG quality in 1..100.

    Returns:
        The bytes of a JPEG file.

    Raises:
        StoreError: If the picture cannot be encoded.
    """
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise StoreError(f"a picture of shape {image.shape} cannot be written as JPEG")
    return bytes(data.tobytes())


def decode_jpeg(data: bytes) -> UInt8Array:
    """Decode a picture that `encode_jpeg` wrote.

    Args:
        data: The bytes of a JPEG file.

    Returns:
        RGB pixels, shape `(H, W, 3)`, uint8.

    Raises:
        StoreError: If the bytes are no picture.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise StoreError(f"a stored picture of {len(data)} bytes cannot be decoded")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
