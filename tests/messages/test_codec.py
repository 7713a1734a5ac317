"""Messages survive the way to bytes and back; nothing else gets through."""

import dataclasses
import re
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from streamreid.errors import MessageError
from streamreid.messages import (
    MAX_ACK_ITEMS,
    MAX_DETECTION_ROWS,
    MAX_PART_BYTES,
    PROTOCOL_VERSION,
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
    decode_matcher,
    decode_worker,
    encode,
)
from streamreid.types import TrackId, TrackSummary
from tests.builders import CAMERA, make_crop, make_detections, make_hello, make_track

SEQ = st.integers(0, 2**63 - 1)
TIME = st.floats(-1e11, 1e11)
CONFIDENCE = st.floats(0, 1)
VALID_CROP: list[Any] = [
    *(PROTOCOL_VERSION, "crop", 3, 1, 10.0, 5.0, 1.0, 2.0, 3.0, 4.0, 0.5, 0.5, 2, 2, "raw")
]


def crop_parts(**changes: Any) -> list[bytes]:
    """A sound crop message of 2x2 pixels with some header fields replaced by position."""
    header = list(VALID_CROP)
    for key, value in changes.items():
        header[int(key.removeprefix("field"))] = value
    return [msgpack.packb(header), bytes(12)]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(make_hello(), id="hello"),
        pytest.param(make_hello(live=False, incarnation=2**63 - 1), id="hello of a file"),
        pytest.param(Progress(12.25), id="progress"),
        pytest.param(Bye("end", (1, 2, 3)), id="bye"),
    ],
)
def test_worker_messages_survive_the_way_to_bytes_and_back(message: WorkerMessage) -> None:
    assert decode_worker(encode(message), CAMERA) == message


@pytest.mark.parametrize(
    "message",
    [
        Welcome(5, 64),
        Ack(5, "track", ((0, "stored"), (2**63 - 1, "disk_full"), (4, "duplicate"))),
        Ack(5, "crop", tuple((seq, "stale") for seq in range(MAX_ACK_ITEMS))),
        Who(),
        Heard(64),
        Goodbye(5),
    ],
    ids=["welcome", "ack", "longest ack", "who", "heard", "goodbye"],
)
def test_matcher_messages_survive_the_way_to_bytes_and_back(message: MatcherMessage) -> None:
    assert decode_matcher(encode(message)) == message


@given(
    SEQ,
    SEQ,
    TIME,
    CONFIDENCE,
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_any_crop_survives_the_way_to_bytes_and_back(
    seq: int, track: int, at_s: float, share: float, box: list[float], height: int, width: int
) -> None:
    crop = make_crop(
        height=height,
        width=width,
        track_id=1,
        confidence=share,
        quality=share,
        box_xyxy=np.array(box, np.float32),
    )
    object.__setattr__(crop, "track_id", TrackId(track))
    object.__setattr__(crop, "captured_at_s", at_s)
    object.__setattr__(crop, "track_started_at_s", at_s)
    back = decode_worker(encode(CropMessage(seq, crop)), CAMERA)
    assert isinstance(back, CropMessage)
    assert (back.seq, back.crop.track_id, back.crop.captured_at_s) == (seq, track, at_s)
    assert (back.crop.confidence, back.crop.quality) == (share, share)
    np.testing.assert_array_equal(back.crop.box_xyxy, crop.box_xyxy)
    np.testing.assert_array_equal(back.crop.image, crop.image)
    assert not back.crop.image.flags.writeable


@given(
    SEQ, SEQ, st.floats(0, 1e10), st.floats(0, 1e10), st.sampled_from(["left", "segment", "end"])
)
def test_any_track_survives_the_way_to_bytes_and_back(
    seq: int, track_id: int, started_at_s: float, lasted_s: float, reason: Any
) -> None:
    track = TrackSummary(
        CAMERA, TrackId(track_id), started_at_s, started_at_s + lasted_s, 5, reason
    )
    back = decode_worker(encode(TrackMessage(seq, track)), CAMERA)
    assert isinstance(back, TrackMessage)
    assert back.seq == seq
    assert dataclasses.astuple(back.track) == dataclasses.astuple(track)


@pytest.mark.parametrize("count", [0, 1, 37, MAX_DETECTION_ROWS])
def test_detections_survive_the_way_to_bytes_and_back(count: int) -> None:
    message = make_detections(seq=9, count=count)
    back = decode_worker(encode(message), CAMERA)
    assert isinstance(back, DetectionsMessage)
    assert back.seq == 9
    for name in ("captured_at_s", "track_id", "track_started_at_s", "boxes_xyxy", "confidence"):
        np.testing.assert_array_equal(getattr(back, name), getattr(message, name))
        assert getattr(back, name).dtype == getattr(message, name).dtype


def test_a_jpeg_crop_keeps_its_size_and_roughly_its_colours() -> None:
    image = np.full((40, 20, 3), (200, 100, 50), np.uint8)
    parts = encode(CropMessage(1, make_crop(image=image)), jpeg_quality=90)
    back = decode_worker(parts, CAMERA)
    assert isinstance(back, CropMessage)
    assert len(parts[1]) < image.nbytes
    assert back.crop.image.shape == (40, 20, 3)
    assert np.abs(back.crop.image.astype(int) - image).max() <= 4


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"field0": 2}, "version", "format 2 received, this process reads 1"),
        ({"field0": True}, "version", "run one version"),
        ({"field1": "picture"}, "type", "unknown message type"),
        ({"field1": "welcome"}, "type", "unknown message type"),
        ({"field1": b"crop"}, "header", "msgpack"),
        ({"field2": -1}, "field", "seq must be an integer"),
        ({"field2": 2**63}, "field", "seq must be an integer"),
        ({"field2": 1.0}, "field", "seq must be an integer"),
        ({"field3": "1"}, "field", "track_id must be an integer"),
        ({"field4": float("nan")}, "field", "captured_at_s must be a number"),
        ({"field4": float("inf")}, "field", "captured_at_s must be a number"),
        ({"field4": 1.0}, "field", "must not run backwards"),
        ({"field6": 1e7}, "field", "box_xyxy must be a number"),
        ({"field10": 1.5}, "field", "confidence must be a number"),
        ({"field12": 0}, "field", "height must be an integer in [1, 4096]"),
        ({"field12": 10_000}, "field", "height must be an integer in [1, 4096]"),
        ({"field12": 4096, "field13": 4096}, "size", "4096x4096 is more"),
        ({"field13": 3}, "body", "3x2 pixels take 18 bytes, got 12"),
        ({"field14": "png"}, "field", "encoding must be one of raw, jpeg"),
        ({"field14": "jpeg"}, "body", "JPEG of a crop cannot be read"),
    ],
)
def test_a_crop_with_one_wrong_field_is_refused_with_its_reason(
    changes: dict[str, Any], reason: str, words: str
) -> None:
    with pytest.raises(MessageError, match=re.escape(words)) as caught:
        decode_worker(crop_parts(**changes), CAMERA)
    assert caught.value.reason == reason


def test_the_valid_crop_of_this_file_is_accepted() -> None:
    assert isinstance(decode_worker(crop_parts(), CAMERA), CropMessage)


def test_a_refused_crop_tells_its_number_so_that_the_sender_can_be_told() -> None:
    with pytest.raises(MessageError) as caught:
        decode_worker(crop_parts(field13=3), CAMERA)
    assert (caught.value.kind, caught.value.seq) == ("crop", 3)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [b"\xc1"],
        [b"\x93\x01"],
        [msgpack.packb({"a": 1})],
        [msgpack.packb([1])],
        [msgpack.packb([1, "hello"])],
        [msgpack.packb([1, "hello", "window", 7, True, 0, 0, "file"])],
        [msgpack.packb([1, "progress", 5.0]), b"more"],
        [msgpack.packb([1, "bye", "end", [1, 2]])],
        [msgpack.packb(VALID_CROP)],
        [msgpack.packb(VALID_CROP), bytes(12), b""],
        [msgpack.packb(VALID_CROP)] + [bytes(12)] * 8,
        [b"\x91" * 10_000],
        [bytes(20_000), b""],
        [msgpack.packb([1, "detections", 0, 1]), bytes(43)],
        [msgpack.packb([1, "detections", 0, 2**40]), b""],
    ],
    ids=str,
)
def test_malformed_messages_are_refused(parts: list[bytes]) -> None:
    with pytest.raises(MessageError):
        decode_worker(parts, CAMERA)


@pytest.mark.parametrize("column", ["captured_at_s", "boxes_xyxy", "confidence"])
def test_a_row_out_of_range_is_refused(column: str) -> None:
    message = make_detections(seq=4)
    getattr(message, column).flat[1] = np.nan
    with pytest.raises(MessageError, match="out of range") as caught:
        decode_worker(encode(message), CAMERA)
    assert (caught.value.kind, caught.value.seq) == ("detections", 4)


def test_a_huge_jpeg_is_refused_before_it_is_unpacked() -> None:
    bomb = Image.new("L", (9000, 9000))
    from io import BytesIO

    buffer = BytesIO()
    bomb.save(buffer, "JPEG", quality=10)
    parts = crop_parts(field14="jpeg")
    with pytest.raises(MessageError, match="JPEG is 9000x9000, declared 2x2"):
        decode_worker([parts[0], buffer.getvalue()[:MAX_PART_BYTES]], CAMERA)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (CropMessage(0, make_crop(height=600, width=600)), "a part of 1080000 bytes"),
        (make_detections(count=MAX_DETECTION_ROWS + 1), "at most 4096 rows"),
    ],
    ids=["crop", "detections"],
)
def test_what_no_reader_would_take_is_not_written(message: WorkerMessage, words: str) -> None:
    with pytest.raises(MessageError, match=words):
        encode(message)


SOUND_PARTS = [
    encode(make_hello()),
    encode(CropMessage(3, make_crop())),
    encode(CropMessage(3, make_crop(height=20, width=20)), jpeg_quality=80),
    encode(make_detections()),
    encode(TrackMessage(1, make_track())),
    encode(Bye("stop", (1, 2, 3))),
    encode(Welcome(1, 64)),
    encode(Ack(1, "crop", ((1, "stored"),))),
]


@settings(max_examples=400)
@given(
    st.sampled_from(SOUND_PARTS),
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    st.integers(0, 3000),
)
@example(SOUND_PARTS[1], 0, [], 3)
def test_mutated_messages_are_read_or_refused_but_never_crash(
    parts: list[bytes], index: int, pokes: list[tuple[int, int]], keep: int
) -> None:
    mutated = [bytearray(part) for part in parts]
    target = mutated[index % len(mutated)]
    for offset, value in pokes:
        if target:
            target[offset % len(target)] = value
    del target[keep:]
    for decode in (lambda p: decode_worker(p, CAMERA), decode_matcher):
        message: object = None
        problem = ""
        try:
            message = decode([bytes(part) for part in mutated])
        except MessageError as exc:
            problem = str(exc)
        assert isinstance(message, WorkerMessage | MatcherMessage) or 0 < len(problem) < 400


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_garbage_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(MessageError):
        decode_worker(parts, CAMERA)


def test_hello_of_another_camera_is_refused() -> None:
    with pytest.raises(MessageError, match="differs from the routing id"):
        decode_worker(encode(Hello(CAMERA, 1, True, 0, 0, "rtcp")), make_crop().camera_id + "2")  # type: ignore[arg-type]
