"""Small videos and frames made by the tests themselves."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from streamreid.types import CameraId, Frame, UInt8Array

CAMERA = CameraId("door")


def picture(index: int, size: tuple[int, int] = (160, 120)) -> UInt8Array:
    """RGB picture of a bright box that moves right with the frame number."""
    width, height = size
    image = np.full((height, width, 3), 60, np.uint8)
    left = (4 * index) % max(1, width - 20)
    image[height // 4 : 3 * height // 4, left : left + 20] = (200, 80, 40)
    return image


def numbered_pictures(count: int) -> Iterator[UInt8Array]:
    """Pictures of 160 x 120 that show their own number, below 256, in binary."""
    for number in range(count):
        image = np.full((120, 160, 3), 30, np.uint8)
        for bit in range(8):
            if number >> bit & 1:
                image[40:80, bit * 20 : bit * 20 + 20] = 220
        yield image


def shown_number(frame: Frame) -> int:
    """The number that one of `numbered_pictures` shows."""
    return sum(int(frame.y[60, bit * 20 + 10] > 120) << bit for bit in range(8))


def write_clip(
    path: Path,
    *,
    frames: int = 20,
    fps: int = 10,
    size: tuple[int, int] = (160, 120),
    pts_s: Sequence[float] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    container_format: str | None = None,
    metadata: dict[str, str] | None = None,
    pictures: Iterable[UInt8Array] | None = None,
) -> Path:
    """Encode a short video.

    Args:
        path: File to write; its suffix chooses the container.
        frames: Number of frames.
        fps: Frames a second.
        size: Width and height.
        pts_s: Position of every frame in seconds; default: evenly spaced from 0.
        codec: Video codec.
        pixel_format: Pixel format of the stream.
        container_format: Container, where the suffix does not say.
        metadata: Entries of the container, such as `creation_time`.
        pictures: RGB pictures to encode instead of `picture(i)`.
    """
    images = list(pictures) if pictures is not None else [picture(i, size) for i in range(frames)]
    with av.open(str(path), "w", format=container_format) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], pixel_format
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "g": "5", "bf": "0"}
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            position_s = pts_s[index] if pts_s is not None else index / fps
            frame.pts = round(position_s * 1000)
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def flat_frame(
    *,
    size: tuple[int, int] = (64, 48),
    luma: int = 100,
    chroma: tuple[int, int] = (128, 128),
    index: int = 0,
    segment: int = 0,
    captured_at_s: float = 0.0,
    full_range: bool = False,
    camera_id: CameraId = CAMERA,
) -> Frame:
    """A frame of one colour."""
    width, height = size
    half = ((height + 1) // 2, (width + 1) // 2)
    return Frame(
        camera_id=camera_id,
        index=index,
        segment=segment,
        captured_at_s=captured_at_s,
        time_source="file",
        y=np.full((height, width), luma, np.uint8),
        u=np.full(half, chroma[0], np.uint8),
        v=np.full(half, chroma[1], np.uint8),
        full_range=full_range,
    )


def rgb_frame(image: UInt8Array, *, captured_at_s: float = 0.0, index: int = 0) -> Frame:
    """A frame that shows an RGB picture."""
    converted = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
    y, u, v = (
        np.array(
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
                : plane.height, : plane.width
            ]
        )
        for plane in converted.planes
    )
    return Frame(CAMERA, index, 0, captured_at_s, "file", y, u, v)
