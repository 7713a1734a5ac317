"""Bytes to messages: every limit is checked, and nothing unreadable gets further than here."""

from collections.abc import Callable, Sequence
from typing import Any, cast, get_args

import msgpack
import numpy as np

from streamreid.errors import MessageError
from streamreid.messages import fields
from streamreid.messages.limits import (
    MAX_ABS_PX,
    MAX_ABS_TIME_S,
    MAX_ACK_ITEMS,
    MAX_CROP_SIDE_PX,
    MAX_DETECTION_ROWS,
    MAX_HEADER_BYTES,
    MAX_INT,
    PROTOCOL_VERSION,
)
from streamreid.messages.pixels import Part, decode_pixels
from streamreid.messages.values import (
    DISPOSITIONS,
    KINDS,
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
from streamreid.types import CameraId, Crop, TimeSource, TrackId, TrackSummary

_Header = tuple[object, ...]

_ROW_BYTES = 8 + 8 + 8 + 16 + 4
_TIME_SOURCES: tuple[TimeSource, ...] = get_args(TimeSource)


def decode_worker(parts: Sequence[Part], camera_id: CameraId) -> WorkerMessage:
    """Read a message that a camera worker sent.

    Args:
        parts: Parts as received, without the routing id.
        camera_id: Camera of the sender, from its routing id.

    Raises:
        MessageError: Anything is wrong; `kind` and `seq` are set when they could be read.
    """
    name, values = _header(parts, _WORKER_DECODERS)
    try:
        return _WORKER_DECODERS[name][1](values, parts, camera_id)
    except MessageError as exc:
        readable = name in KINDS and values and type(values[0]) is int and 0 <= values[0] <= MAX_INT
        raise MessageError(
            f"{name} message from camera '{camera_id}': {exc}",
            reason=exc.reason,
            kind=name if name in KINDS else None,
            seq=cast(int, values[0]) if readable else None,
        ) from exc


def decode_matcher(parts: Sequence[Part]) -> MatcherMessage:
    """Read a message that the matcher sent.

    Raises:
        MessageError: Anything is wrong.
    """
    name, values = _header(parts, _MATCHER_DECODERS)
    return _MATCHER_DECODERS[name][1](values)


def _header(parts: Sequence[Part], decoders: dict[str, Any]) -> tuple[str, _Header]:
    """Name and fields of a message whose version, type and number of parts are right."""
    if not 1 <= len(parts) <= 2:
        raise MessageError(f"a message has 1 or 2 parts, got {len(parts)}", reason="parts")
    if len(parts[0]) > MAX_HEADER_BYTES:
        raise MessageError(
            f"a header has at most {MAX_HEADER_BYTES} bytes, got {len(parts[0])}", reason="size"
        )
    try:
        header = msgpack.unpackb(
            parts[0],
            use_list=False,
            max_str_len=128,
            max_bin_len=0,
            max_array_len=MAX_ACK_ITEMS,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, UnicodeDecodeError) as exc:
        raise MessageError("the header is not a msgpack array", reason="header") from exc
    if type(header) is not tuple or len(header) < 2 or type(header[1]) is not str:
        raise MessageError("the header is not [version, type, ...]", reason="header")
    if type(header[0]) is not int or header[0] != PROTOCOL_VERSION:
        raise MessageError(
            f"message format {str(header[0])[:20]} received, this process reads "
            f"{PROTOCOL_VERSION}: run one version of streamreid everywhere",
            reason="version",
        )
    name = header[1]
    if name not in decoders:
        raise MessageError(
            f"unknown message type, expected one of {', '.join(decoders)}", reason="type"
        )
    if len(parts) != decoders[name][0]:
        raise MessageError(
            f"a {name} message has {decoders[name][0]} parts, got {len(parts)}", reason="parts"
        )
    return name, header[2:]


def _decode_hello(values: _Header, _: Sequence[Part], camera_id: CameraId) -> Hello:
    name, incarnation, live, width, height, source = fields.items(values, "hello", 6, 6)
    if fields.camera_name(name, "camera_id") != camera_id:
        raise MessageError("camera_id differs from the routing id")
    return Hello(
        camera_id=camera_id,
        incarnation=fields.integer(incarnation, "incarnation"),
        live=fields.flag(live, "live"),
        width=fields.integer(width, "width", 0, 65536),
        height=fields.integer(height, "height", 0, 65536),
        time_source=fields.word(source, "time_source", _TIME_SOURCES),
    )


def _decode_crop(values: _Header, parts: Sequence[Part], camera_id: CameraId) -> CropMessage:
    v = fields.items(values, "crop", 13, 13)
    seq = fields.integer(v[0], "seq")
    captured_at_s = fields.time_s(v[2], "captured_at_s")
    track_started_at_s = fields.time_s(v[3], "track_started_at_s")
    fields.ordered(track_started_at_s, captured_at_s, "track_started_at_s and captured_at_s")
    box = [fields.pixel(value, "box_xyxy") for value in v[4:8]]
    height = fields.integer(v[10], "height", 1, MAX_CROP_SIDE_PX)
    width = fields.integer(v[11], "width", 1, MAX_CROP_SIDE_PX)
    crop = Crop(
        camera_id=camera_id,
        track_id=TrackId(fields.integer(v[1], "track_id")),
        captured_at_s=captured_at_s,
        track_started_at_s=track_started_at_s,
        box_xyxy=np.array(box, np.float32),
        confidence=fields.number(v[8], "confidence", 0, 1),
        quality=fields.number(v[9], "quality", 0, 1),
        image=decode_pixels(
            parts[1], height, width, fields.word(v[12], "encoding", ("raw", "jpeg"))
        ),
    )
    return CropMessage(seq, crop)


def _decode_detections(values: _Header, parts: Sequence[Part], _: CameraId) -> DetectionsMessage:
    v = fields.items(values, "detections", 2, 2)
    seq = fields.integer(v[0], "seq")
    n = fields.integer(v[1], "row count", 0, MAX_DETECTION_ROWS)
    body = parts[1]
    if len(body) != n * _ROW_BYTES:
        raise MessageError(f"{n} rows take {n * _ROW_BYTES} bytes, got {len(body)}", reason="body")
    wide = np.frombuffer(body, "<f8", 3 * n)
    narrow = np.frombuffer(body, "<f4", 5 * n, offset=24 * n)
    message = DetectionsMessage(
        seq=seq,
        captured_at_s=wide[:n].astype(np.float64),
        track_id=np.frombuffer(body, "<i8", n, offset=8 * n).astype(np.int64),
        track_started_at_s=wide[2 * n :].astype(np.float64),
        boxes_xyxy=narrow[: 4 * n].astype(np.float32).reshape(n, 4),
        confidence=narrow[4 * n :].astype(np.float32),
    )
    _check_rows(message)
    return message


def _check_rows(m: DetectionsMessage) -> None:
    """Refuse rows that no detector makes."""
    times = (m.captured_at_s, m.track_started_at_s)
    sound = (
        all(bool((np.abs(t) <= MAX_ABS_TIME_S).all()) for t in times)
        and bool((m.track_started_at_s <= m.captured_at_s).all())
        and bool((m.track_id >= 0).all())
        and bool((np.abs(m.boxes_xyxy) <= MAX_ABS_PX).all())
        and bool(((m.confidence >= 0) & (m.confidence <= 1)).all())
    )
    if not sound:
        raise MessageError("a row has a time, track, box or confidence out of range", reason="body")


def _decode_track(values: _Header, _: Sequence[Part], camera_id: CameraId) -> TrackMessage:
    v = fields.items(values, "track", 6, 6)
    started_at_s = fields.time_s(v[2], "started_at_s")
    ended_at_s = fields.time_s(v[3], "ended_at_s")
    fields.ordered(started_at_s, ended_at_s, "started_at_s and ended_at_s")
    track = TrackSummary(
        camera_id=camera_id,
        track_id=TrackId(fields.integer(v[1], "track_id")),
        started_at_s=started_at_s,
        ended_at_s=ended_at_s,
        detection_count=fields.integer(v[4], "detection_count", 0, 2**40),
        reason=fields.word(v[5], "reason", ("left", "segment", "end")),
    )
    return TrackMessage(fields.integer(v[0], "seq"), track)


def _decode_progress(values: _Header, _: Sequence[Part], __: CameraId) -> Progress:
    return Progress(fields.time_s(fields.items(values, "progress", 1, 1)[0], "captured_at_s"))


def _decode_bye(values: _Header, _: Sequence[Part], __: CameraId) -> Bye:
    reason, produced = fields.items(values, "bye", 2, 2)
    crops, detections, tracks = (
        fields.integer(count, "produced") for count in fields.items(produced, "produced", 3, 3)
    )
    return Bye(
        fields.word(reason, "reason", ("end", "stop", "failed")), (crops, detections, tracks)
    )


def _decode_welcome(values: _Header) -> Welcome:
    epoch, window = fields.items(values, "welcome", 2, 2)
    return Welcome(fields.integer(epoch, "epoch"), fields.integer(window, "window", 1, 4096))


def _decode_ack(values: _Header) -> Ack:
    epoch, kind, entries = fields.items(values, "ack", 3, 3)
    items = []
    for entry in fields.items(entries, "ack items", 0, MAX_ACK_ITEMS):
        seq, index = fields.items(entry, "ack item", 2, 2)
        disposition = DISPOSITIONS[fields.integer(index, "disposition", 0, len(DISPOSITIONS) - 1)]
        items.append((fields.integer(seq, "seq"), disposition))
    return Ack(fields.integer(epoch, "epoch"), fields.word(kind, "kind", KINDS), tuple(items))


def _decode_who(values: _Header) -> Who:
    fields.items(values, "who", 0, 0)
    return Who()


def _decode_heard(values: _Header) -> Heard:
    return Heard(fields.integer(fields.items(values, "heard", 1, 1)[0], "count"))


def _decode_goodbye(values: _Header) -> Goodbye:
    return Goodbye(fields.integer(fields.items(values, "goodbye", 1, 1)[0], "epoch"))


_WORKER_DECODERS: dict[
    str, tuple[int, Callable[[_Header, Sequence[Part], CameraId], WorkerMessage]]
] = {
    "hello": (1, _decode_hello),
    "crop": (2, _decode_crop),
    "detections": (2, _decode_detections),
    "track": (1, _decode_track),
    "progress": (1, _decode_progress),
    "bye": (1, _decode_bye),
}

_MATCHER_DECODERS: dict[str, tuple[int, Callable[[_Header], MatcherMessage]]] = {
    "welcome": (1, _decode_welcome),
    "ack": (1, _decode_ack),
    "who": (1, _decode_who),
    "heard": (1, _decode_heard),
    "goodbye": (1, _decode_goodbye),
}
