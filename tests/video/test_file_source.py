"""Video files and folders: every frame, its time, and every way in which a file can be bad."""

import random
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.clock import SystemClock
from streamreid.errors import SourceError
from streamreid.types import Frame
from streamreid.video.address import parse_address
from streamreid.video.container import open_container
from streamreid.video.source import FrameSource, open_source
from tests.shared_data import shared_path
from tests.video.clips import CAMERA, picture, write_clip
from tests.video.damage import damaged


def _open(path: Path, start_time_s: float | None = 1000.0) -> FrameSource:
    return open_source(str(path), camera_id=CAMERA, clock=SystemClock(), start_time_s=start_time_s)


def _frames(path: Path, start_time_s: float | None = 1000.0) -> list[Frame]:
    return list(_open(path, start_time_s))


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv", "avi"])
def test_every_frame_comes_with_its_time(tmp_path: Path, suffix: str) -> None:
    frames = _frames(write_clip(tmp_path / f"clip.{suffix}", frames=20, fps=10))
    assert [frame.index for frame in frames] == list(range(20))
    times = [frame.captured_at_s for frame in frames]
    assert times == pytest.approx([1000.0 + i / 10 for i in range(20)], abs=0.002)
    assert {(f.segment, f.time_source, f.camera_id) for f in frames} == {(0, "file", CAMERA)}


def test_planes_show_what_was_encoded_without_a_copy(tmp_path: Path) -> None:
    frame = _frames(write_clip(tmp_path / "clip.mp4", frames=5))[4]
    assert (frame.width, frame.height) == (160, 120)
    assert frame.u.shape == frame.v.shape == (60, 80)
    left = 16
    inside, outside = frame.y[60, left + 10], frame.y[60, left + 60]
    assert inside > outside + 30
    assert not frame.y.flags.writeable
    assert not frame.y.flags.owndata


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("mjpeg", "yuvj420p", "avi"),
        ("mjpeg", "yuvj422p", "avi"),
        ("mpeg4", "yuv420p", "mp4"),
        ("libx264", "yuv444p", "mp4"),
        ("rawvideo", "yuyv422", "avi"),
    ],
)
def test_other_codecs_and_pixel_formats(
    tmp_path: Path, codec: str, pixel_format: str, suffix: str
) -> None:
    path = write_clip(tmp_path / f"clip.{suffix}", frames=5, codec=codec, pixel_format=pixel_format)
    frames = _frames(path)
    assert len(frames) == 5
    assert frames[0].u.shape == (60, 80)
    reference = cv2.cvtColor(picture(0), cv2.COLOR_RGB2YUV)[..., 0].astype(float)
    seen = frames[0].y.astype(float)
    seen = seen if frames[0].full_range else (seen - 16) * 255 / 219
    assert np.abs(seen - reference).mean() < 6.0


def test_raw_h264_without_times(tmp_path: Path) -> None:
    frames = _frames(write_clip(tmp_path / "clip.h264", frames=10, container_format="h264"))
    assert len(frames) == 10
    steps = np.diff([frame.captured_at_s for frame in frames])
    assert (steps > 0).all()
    assert (steps <= 1.0).all()


@pytest.mark.parametrize(
    ("jump_s", "segments"), [(-5.0, 2), (3600.0, 2), (0.5, 1)], ids=["back", "ahead", "small"]
)
def test_jumps_of_time_split_the_segment(tmp_path: Path, jump_s: float, segments: int) -> None:
    positions = [10 + i / 10 + (jump_s if i >= 10 else 0.0) for i in range(20)]
    path = _joined(tmp_path, positions[:10], positions[10:])
    frames = _frames(path)
    assert len(frames) == 20
    assert len({frame.segment for frame in frames}) == segments
    steps = np.diff([frame.captured_at_s for frame in frames])
    assert (steps > 0).all()
    assert (steps <= 1.0).all()


def _joined(folder: Path, *parts: list[float], sizes: tuple[int, ...] = (160, 160)) -> Path:
    """Several transport streams one after the other in one file, as after a camera's restart."""
    whole = folder / "joined.ts"
    with whole.open("wb") as file:
        for number, (positions, width) in enumerate(zip(parts, sizes, strict=True)):
            part = folder / f"part{number}.ts"
            write_clip(part, frames=len(positions), pts_s=positions, size=(width, 120))
            file.write(part.read_bytes())
    return whole


def test_a_change_of_size_splits_the_segment(tmp_path: Path) -> None:
    times = [i / 10 for i in range(10)]
    path = _joined(tmp_path, times, [1.0 + t for t in times], sizes=(160, 320))
    frames = _frames(path)
    assert [(f.width, f.segment) for f in frames] == [(160, 0)] * 10 + [(320, 1)] * 10


@pytest.mark.parametrize("fps", [1, 120])
def test_unusual_rates(tmp_path: Path, fps: int) -> None:
    frames = _frames(write_clip(tmp_path / "clip.mp4", frames=12, fps=fps))
    assert {frame.segment for frame in frames} == {0}
    span_s = frames[-1].captured_at_s - frames[0].captured_at_s
    assert span_s == pytest.approx(11 / fps, abs=0.02)


@pytest.mark.parametrize(
    ("created", "given_s", "first_s", "note"),
    [
        (None, None, 0.0, "1970-01-01"),
        ("2026-01-05T08:00:00.000000Z", None, 1767600000.0, "creation time"),
        ("2026-01-05T08:00:00.000000Z", 5.0, 5.0, ""),
        ("1904-01-01T00:00:00.000000Z", None, 0.0, "1970-01-01"),
    ],
)
def test_where_a_file_begins_in_time(
    tmp_path: Path, created: str | None, given_s: float | None, first_s: float, note: str
) -> None:
    metadata = {"creation_time": created} if created else {}
    source = _open(write_clip(tmp_path / "clip.mp4", metadata=metadata), given_s)
    assert note in source.info.note
    assert (source.info.note == "") == (given_s is not None)
    assert (source.info.width, source.info.height, source.info.live) == (160, 120, False)
    assert source.info.fps == pytest.approx(10.0)
    assert next(iter(source)).captured_at_s == first_s
    source.close()
    source.close()
    assert source.status().state == "ended"
    assert source.read(0.0) is None


def test_the_end_is_an_end(tmp_path: Path) -> None:
    source = _open(write_clip(tmp_path / "clip.mp4", frames=3))
    assert len(list(source)) == 3
    status = source.status()
    assert (status.state, status.frames, status.skipped, source.skipped) == ("ended", 3, 0, 0)


def test_a_folder_of_pictures_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        suffix = "png" if number == 2 else "jpg"
        image = np.full((120, 160, 3), 10 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"frame{number}.{suffix}"), image)
    (tmp_path / "frame3.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    source = open_source(
        str(tmp_path), camera_id=CAMERA, clock=SystemClock(), start_time_s=50.0, folder_fps=2.0
    )
    frames = list(source)
    assert [round(float(f.y.mean())) // 8 for f in frames] == sorted(
        round(float(f.y.mean())) // 8 for f in frames
    )
    assert [frame.captured_at_s for frame in frames] == [50.0, 50.5, 51.5]
    assert source.status().decode_errors == 1


def _no_video(folder: Path) -> Path:
    path = folder / "notes.mp4"
    path.write_text("this is no video" * 100)
    return path


def _empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def _without_index(folder: Path) -> Path:
    path = write_clip(folder / "cut.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _playlist(folder: Path) -> Path:
    clip = write_clip(folder / "secret.ts")
    path = folder / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n")
    return path


def _concat_script(folder: Path) -> Path:
    clip = write_clip(folder / "secret.ts")
    path = folder / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {clip.name}\n")
    return path


def _huge_header(folder: Path) -> Path:
    """A PNG whose header claims 64,000 x 64,000 pixels: 12 GB if believed."""
    path = folder / "huge.png"
    cv2.imwrite(str(path), np.zeros((16, 16, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = (64000).to_bytes(4, "big") * 2
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    "make", [_no_video, _empty, _without_index, _playlist, _concat_script, _huge_header]
)
def test_files_that_are_no_video_name_themselves(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path)
    with pytest.raises(SourceError, match=path.name) as raised:
        _frames(path)
    assert raised.value.exit_code == 3


def test_a_missing_file_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        _open(tmp_path / "absent.mp4")
    with pytest.raises(SourceError, match="holds no picture"):
        _open(tmp_path)


def _play_damaged(folder: Path, count: int) -> tuple[int, int]:
    played = refused = 0
    cleans = [
        write_clip(folder / f"clean.{suffix}", frames=25).read_bytes()
        for suffix in ("mp4", "ts", "mkv")
    ]
    for seed in range(count):
        rng = random.Random(seed)
        path = folder / f"damaged{seed}.{('mp4', 'ts', 'mkv')[seed % 3]}"
        path.write_bytes(damaged(cleans[seed % 3], rng))
        try:
            frames = _frames(path)
        except SourceError as error:
            refused += path.name in str(error)
            continue
        steps = np.diff([frame.captured_at_s for frame in frames])
        assert (steps > 0).all()
        assert (steps <= 1.0 + 1e-6).all()
        played += 1
    return played, refused


def test_twenty_damaged_videos_play_or_are_refused(tmp_path: Path) -> None:
    played, refused = _play_damaged(tmp_path, 20)
    assert played > 0
    assert refused > 0
    assert played + refused == 20


def test_a_file_that_ends_in_the_middle_says_so(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", frames=80, fps=10)
    source = _open(whole)
    assert len(list(source)) == 80
    assert source.status().last_error == ""
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = _open(cut)
    assert 10 < len(list(source)) < 70
    assert "cut.mkv" in source.status().last_error
    assert "of 8.0 s" in source.status().last_error


def _show_turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix into the header of an MP4 file, as phones do."""
    data = bytearray(path.read_bytes())
    # ISO 14496-12, track header version 0: the matrix stands 40 bytes behind the type.
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 0x10000 for value in matrix)
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        pytest.param((1, 0, 0, 1), (160, 120), (10, 10), id="as-it-is"),
        pytest.param((0, 1, -1, 0), (120, 160), (10, 110), id="held-upright"),
        pytest.param((-1, 0, 0, -1), (160, 120), (110, 150), id="upside-down"),
        pytest.param((0, -1, 1, 0), (120, 160), (150, 10), id="held-upright-the-other-way"),
    ],
)
def test_phone_videos_are_shown_the_right_way_up(
    tmp_path: Path,
    matrix: tuple[int, int, int, int],
    size: tuple[int, int],
    corner: tuple[int, int],
) -> None:
    image = np.full((120, 160, 3), 40, np.uint8)
    image[:40, :40] = 220
    clip = write_clip(tmp_path / "phone.mp4", pictures=[image] * 3)
    frame = _frames(_show_turned(clip, matrix))[2]
    assert (frame.width, frame.height) == size
    assert frame.u.shape == (size[1] // 2, size[0] // 2)
    assert frame.y[corner] > 180
    assert (frame.y > 180).sum() < 1.2 * 40 * 40


def test_a_device_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(SourceError, match=r"/dev/video97.*plug the camera in.*ls /dev/video\*"):
        open_container(parse_address("v4l2:///dev/video97"))


@pytest.mark.slow
def test_two_hundred_damaged_videos_play_or_are_refused(tmp_path: Path) -> None:
    assert sum(_play_damaged(tmp_path, 200)) == 200


@pytest.mark.parametrize(
    ("name", "count"),
    [("epfl_lab_cam1", 220), ("epfl_lab_cam2", 98), ("pets09_s2l1_view1", 795)],
)
def test_real_clips_are_read_to_the_end(name: str, count: int) -> None:
    source = _open(shared_path(f"data/videos/{name}.mp4"))
    assert [(f.index, f.segment) for f in source] == [(index, 0) for index in range(count)]
    assert source.status().last_error == ""
