"""From a decoded PyAV frame to the Y, U and V planes of a `Frame`, without copying."""

import av
import numpy as np

from streamreid.types import CameraId, Frame, UInt8Array
from streamreid.video.capture_time import Stamp

_ZERO_COPY_FORMATS = ("yuv420p", "yuvj420p")
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


def to_frame(picture: av.VideoFrame, *, camera_id: CameraId, index: int, stamp: Stamp) -> Frame:
    """Wrap a decoded picture.

    Args:
        picture: Decoded picture of any pixel format; other than 4:2:0 planar is converted.
        camera_id: Camera that took it.
        index: Number of the frame since the source was opened.
        stamp: Its capture time and segment.

    Returns:
        A frame whose planes are read-only views of the decoder's memory, which they keep alive; a
        picture that is to be shown turned (a phone held upright) is a turned copy.
    """
    if picture.format.name not in _ZERO_COPY_FORMATS:
        picture = picture.reformat(format="yuv420p")
    full_range = picture.format.name == "yuvj420p" or picture.color_range == _FULL_RANGE
    quarters = round(picture.rotation / 90) % 4
    y, u, v = (_turned(_plane_view(plane), quarters) for plane in picture.planes[:3])
    return Frame(
        camera_id=camera_id,
        index=index,
        segment=stamp.segment,
        captured_at_s=stamp.captured_at_s,
        time_source=stamp.time_source,
        y=y,
        u=u,
        v=v,
        full_range=full_range,
    )


def _plane_view(plane: "av.video.plane.VideoPlane") -> UInt8Array:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    view: UInt8Array = rows[: plane.height, : plane.width]
    view.setflags(write=False)
    return view


def _turned(plane: UInt8Array, quarters: int) -> UInt8Array:
    """Turn a plane counter-clockwise by quarters, as the display matrix of its picture says."""
    if quarters == 0:
        return plane
    turned = np.ascontiguousarray(np.rot90(plane, quarters))
    turned.setflags(write=False)
    return turned
