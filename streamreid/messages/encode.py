"""Messages to bytes: one msgpack header and at most one raw body."""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgpack

from streamreid.errors import MessageError
from streamreid.messages.limits import (
    MAX_ACK_ITEMS,
    MAX_DETECTION_ROWS,
    MAX_HEADER_BYTES,
    MAX_PART_BYTES,
    PROTOCOL_VERSION,
)
from streamreid.messages.pixels import encode_pixels
from streamreid.messages.values import (
    DISPOSITIONS,
    Ack,
    Bye,
    CropMessage,
    DetectionsMessage,
    Goodbye,
    Heard,
    Hello,
    MatcherMessage,
    Progress,
    TrackMessage,
    Welcome,
    Who,
    WorkerMessage,
)

_Header = tuple[object, ...]


def encode(
    message: WorkerMessage | MatcherMessage, *, jpeg_quality: int | None = None
) -> list[bytes]:
    """Turn a message into the parts of a multipart message.

    Args:
        message: Any message.
        jpeg_quality: Send crop pixels as JPEG of this quality (1-95) instead of raw; between hosts.

    Raises:
        MessageError: The message exceeds a limit, so no reader would take it.
    """
    name, values, body = _ENCODERS[type(message)](message)
    if isinstance(message, CropMessage):
        body = encode_pixels(message.crop.image, jpeg_quality)
        values = (*values, "raw" if jpeg_quality is None else "jpeg")
    header = msgpack.packb((PROTOCOL_VERSION, name, *values))
    for part, limit in ((header, MAX_HEADER_BYTES), (body or b"", MAX_PART_BYTES)):
        if len(part) > limit:
            raise MessageError(
                f"a {name} message has a part of {len(part)} bytes, at most {limit} are allowed: "
                "send a smaller crop or fewer rows",
                reason="size",
            )
    return [header] if body is None else [header, body]


def _encode_hello(m: Hello) -> tuple[str, _Header, None]:
    return "hello", dataclasses.astuple(m), None


def _encode_crop(m: CropMessage) -> tuple[str, _Header, None]:
    c = m.crop
    box = tuple(float(v) for v in c.box_xyxy)
    times = (float(c.captured_at_s), float(c.track_started_at_s))
    scores = (float(c.confidence), float(c.quality))
    return "crop", (m.seq, int(c.track_id), *times, *box, *scores, *c.image.shape[:2]), None


def _encode_detections(m: DetectionsMessage) -> tuple[str, _Header, bytes]:
    count = len(m.track_id)
    if count > MAX_DETECTION_ROWS:
        raise MessageError(
            f"a detections message has at most {MAX_DETECTION_ROWS} rows, got {count}",
            reason="size",
        )
    columns = (
        m.captured_at_s.astype("<f8", copy=False),
        m.track_id.astype("<i8", copy=False),
        m.track_started_at_s.astype("<f8", copy=False),
        m.boxes_xyxy.astype("<f4", copy=False),
        m.confidence.astype("<f4", copy=False),
    )
    return "detections", (m.seq, count), b"".join(column.tobytes() for column in columns)


def _encode_track(m: TrackMessage) -> tuple[str, _Header, None]:
    t = m.track
    times = (float(t.started_at_s), float(t.ended_at_s))
    return "track", (m.seq, int(t.track_id), *times, int(t.detection_count), t.reason), None


def _encode_progress(m: Progress) -> tuple[str, _Header, None]:
    return "progress", (float(m.captured_at_s),), None


def _encode_bye(m: Bye) -> tuple[str, _Header, None]:
    return "bye", (m.reason, m.produced), None


def _encode_welcome(m: Welcome) -> tuple[str, _Header, None]:
    return "welcome", (m.epoch, m.window), None


def _encode_ack(m: Ack) -> tuple[str, _Header, None]:
    if len(m.items) > MAX_ACK_ITEMS:
        raise MessageError(f"an ack has at most {MAX_ACK_ITEMS} items, got {len(m.items)}")
    items = tuple((seq, DISPOSITIONS.index(disposition)) for seq, disposition in m.items)
    return "ack", (m.epoch, m.kind, items), None


def _encode_who(_: Who) -> tuple[str, _Header, None]:
    return "who", (), None


def _encode_heard(m: Heard) -> tuple[str, _Header, None]:
    return "heard", (m.count,), None


def _encode_goodbye(m: Goodbye) -> tuple[str, _Header, None]:
    return "goodbye", (m.epoch,), None


_ENCODERS: dict[type, Callable[[Any], tuple[str, _Header, bytes | None]]] = {
    Hello: _encode_hello,
    CropMessage: _encode_crop,
    DetectionsMessage: _encode_detections,
    TrackMessage: _encode_track,
    Progress: _encode_progress,
    Bye: _encode_bye,
    Welcome: _encode_welcome,
    Ack: _encode_ack,
    Who: _encode_who,
    Heard: _encode_heard,
    Goodbye: _encode_goodbye,
}
