"""Live cameras: real servers on 127.0.0.1 that stream, die, freeze and lie."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from streamreid.clock import SystemClock
from streamreid.types import Frame
from streamreid.video.source import FrameSource, open_source
from tests.video.clips import CAMERA, numbered_pictures, picture, shown_number, write_clip
from tests.video.servers import free_port, http_server, rtsp_server, wait_until


@contextmanager
def _opened(url: str, healthy_after_s: float = 10.0) -> Iterator[FrameSource]:
    source = open_source(
        url, camera_id=CAMERA, clock=SystemClock(), healthy_after_s=healthy_after_s
    )
    try:
        yield source
    finally:
        source.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "door.mp4", frames=120, fps=30)
    write_clip(folder / "hall.mp4", frames=120, fps=30)
    return folder


def _read(source: FrameSource, count: int, timeout_s: float = 20.0) -> list[Frame]:
    frames: list[Frame] = []

    def enough() -> bool:
        frame = source.read(0.2)
        if frame is not None:
            frames.append(frame)
        return len(frames) >= count

    assert wait_until(enough, timeout_s), source.status()
    return frames


def test_frames_over_rtsp_carry_the_senders_clock(clips: Path) -> None:
    with rtsp_server(clips) as server, _opened(server.url("door.mp4", "bob:geheim77@")) as source:
        frames = _read(source, 20)
        times = [frame.captured_at_s for frame in frames]
        assert times == sorted(set(times))
        # Not even the first one is stamped with its arrival, which is late by the probing.
        assert {frame.time_source for frame in frames} == {source.info.time_source} == {"rtcp"}
        assert {frame.segment for frame in frames} == {0}
        assert abs(frames[-1].captured_at_s - SystemClock().now_s()) < 5.0
        info = source.info
        assert (info.live, info.width, info.height) == (True, 160, 120)
        assert "geheim77" not in info.shown + repr(source.status())
        assert source.status().state == "live"
    assert source.status().state == "ended"
    assert source.read(0.0) is None


@pytest.mark.parametrize("shift_s", [pytest.param(-5.0, marks=pytest.mark.slow), 5.0])
def test_frames_carry_the_cameras_own_time_to_50_ms(tmp_path: Path, shift_s: float) -> None:
    """R13: a camera whose clock is wrong; what each picture shows says when it was taken."""
    fps = 10
    write_clip(tmp_path / "c.mp4", frames=250, fps=fps, pictures=numbered_pictures(250))
    now_s = SystemClock().now_s()
    with (
        rtsp_server(tmp_path, clock_shift_s=shift_s, origin_s=now_s) as server,
        _opened(server.url("c.mp4")) as source,
    ):
        frames = _read(source, 15)
        told_s, position_s = server.report()
    # A camera's clock is that far from ours; the load may delay its first report. The clip, which
    # lasts 25 s, begins again for whoever is late.
    off_s = told_s - (now_s + position_s) - shift_s
    assert off_s - 25.0 * round(off_s / 25.0) == pytest.approx(0.0, abs=2.0)
    assert {frame.time_source for frame in frames} == {"rtcp"}
    for frame in frames:
        taken_s = told_s + shown_number(frame) / fps - position_s
        assert frame.captured_at_s == pytest.approx(taken_s, abs=0.05)


def test_a_stream_that_jumps_and_changes_size_is_split(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.ts", frames=10, size=(160, 120)).read_bytes()
    late = [3600 + i / 10 for i in range(10)]
    second = write_clip(tmp_path / "b.ts", frames=10, pts_s=late, size=(160, 120)).read_bytes()
    third = write_clip(tmp_path / "c.ts", frames=10, pts_s=late, size=(320, 240)).read_bytes()
    with http_server({"/s": (200, {}, first + second + third)}) as (address, _):
        seen: list[tuple[int, int]] = []
        with _opened(address + "/s") as source:

            def connected_again() -> bool:
                frame = source.read(0.0)
                if frame is not None:
                    seen.append((frame.segment, frame.width))
                return source.status().reconnects >= 1

            assert wait_until(connected_again)
            # It may have gone on between the look at a frame and the look at the status.
            connected_again()
        # The jump and the change of size each begin one; frames may be skipped, segments not.
        assert seen[-1][0] >= 2
        assert {width for segment, width in seen if segment < 2} <= {160}
        assert {width for segment, width in seen if segment == 2} <= {320}


def test_only_the_newest_frame_is_kept_and_the_others_are_counted(clips: Path) -> None:
    with rtsp_server(clips) as server, _opened(server.url("door.mp4")) as source:
        _read(source, 1)
        before = source.status()
        assert wait_until(lambda: source.status().frames >= before.frames + 15)
        decoded = source.status().frames
        frame = source.read(0.0)
        assert frame is not None
        assert frame.index >= decoded - 1
        assert source.status().skipped >= 14
    assert source.skipped == source.status().skipped


def test_a_killed_server_is_a_new_segment_and_comes_back(clips: Path) -> None:
    with rtsp_server(clips) as server, _opened(server.url("door.mp4")) as source:
        segment = _read(source, 3)[-1].segment
        server.kill()
        assert wait_until(lambda: source.status().state == "retrying")
        assert source.status().last_error
        while source.read(0.0) is not None:
            pass
        server.start()
        assert _read(source, 2)[-1].segment == segment + 1
        assert source.status().reconnects >= 1


@pytest.mark.slow
@pytest.mark.process
def test_a_frozen_server_is_noticed(clips: Path) -> None:
    with rtsp_server(clips) as server, _opened(server.url("door.mp4")) as source:
        segment = _read(source, 3)[-1].segment
        server.freeze()
        assert wait_until(lambda: source.status().state == "retrying", timeout_s=15.0)
        server.thaw()
        assert wait_until(lambda: source.status().state == "live")
        assert _read(source, 2)[-1].segment > segment


def test_many_kills_leak_nothing(clips: Path) -> None:
    _survive_kills(clips, 4)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(600)
def test_forty_kills_leak_nothing(clips: Path) -> None:
    _survive_kills(clips, 40)


def _survive_kills(clips: Path, kills: int) -> None:
    process = psutil.Process()
    # Killed so often, the camera would earn long waits; here every connection counts as good.
    with rtsp_server(clips) as server, _opened(server.url("door.mp4"), 0.0) as source:
        _read(source, 3)
        files, threads = process.num_fds(), process.num_threads()
        for _ in range(kills):
            server.kill()
            assert wait_until(lambda: source.status().state == "retrying")
            server.start()
            assert wait_until(lambda: source.status().state == "live")
        _read(source, 3)
        assert process.num_fds() <= files + 1
        assert process.num_threads() <= threads + 1


def test_one_dead_camera_does_not_slow_another(clips: Path) -> None:
    dead = f"rtsp://127.0.0.1:{free_port()}/x"
    with (
        rtsp_server(clips) as server,
        _opened(dead) as silent,
        _opened(server.url("hall.mp4")) as source,
    ):
        _read(source, 20)
        assert silent.read(0.0) is None
        assert silent.status().state == "retrying"
        assert "nothing listens" in silent.status().last_error


@pytest.mark.parametrize(("status", "words"), [(401, "password"), (403, "forbids"), (404, "path")])
def test_configuration_problems_are_told_apart_from_outages(status: int, words: str) -> None:
    with http_server({"/s": (status, {}, b"")}) as (address, asked):
        url = address.replace("http://", "http://bob:geheim77@") + "/s"
        with _opened(url) as source:
            assert wait_until(lambda: source.status().state == "misconfigured")
            assert words in source.status().last_error
            assert "geheim77" not in source.status().last_error
        assert len(asked) <= 2


def test_server_errors_are_outages() -> None:
    with http_server({"/s": (500, {}, b"")}) as (address, _), _opened(address + "/s") as source:
        assert wait_until(lambda: source.status().reconnects >= 2)
        assert source.status().state == "retrying"


def test_redirects_and_playlists_lead_nowhere(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "inside.ts").read_bytes()
    playlist = f"#EXTM3U\n#EXTINF:2,\nfile://{tmp_path}/inside.ts\n#EXT-X-ENDLIST\n".encode()
    with http_server({"/inside": (200, {}, clip)}) as (inside, asked_inside):
        answers = {
            "/away": (302, {"Location": inside + "/inside"}, b""),
            "/list.m3u8": (200, {"Content-Type": "application/vnd.apple.mpegurl"}, playlist),
        }
        with http_server(answers) as (outside, _):
            for path in ("/away", "/list.m3u8"):
                with _opened(outside + path) as source:
                    assert wait_until(lambda s=source: s.status().last_error != "")  # type: ignore[misc]
                    assert source.status().frames == 0
        assert asked_inside == []


def test_mpegts_over_http_plays_and_its_end_is_a_disconnect(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.ts", frames=30).read_bytes()
    with http_server({"/clip.ts": (200, {}, clip)}) as (address, _):
        with _opened(address + "/clip.ts") as source:
            assert wait_until(lambda: source.status().reconnects >= 1)
            assert source.status().frames >= 25
            assert _read(source, 1)[0].time_source == "arrival"
        as_file = open_source(
            address + "/clip.ts", camera_id=CAMERA, clock=SystemClock(), live=False
        )
        assert len(list(as_file)) == 30


def test_mpegts_over_udp(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.ts", frames=60, fps=30).read_bytes()
    port = free_port()
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not stop.is_set():
                for start in range(0, len(clip), 1316):
                    out.sendto(clip[start : start + 1316], ("127.0.0.1", port))
                    stop.wait(0.002)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with _opened(f"udp://127.0.0.1:{port}") as source:
            frames = _read(source, 20)
            times = np.array([frame.captured_at_s for frame in frames])
            assert (np.diff(times) > 0).all()
    finally:
        stop.set()
        sender.join(5)


def test_garbage_is_an_outage_and_never_a_frame() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stop = threading.Event()
        listener.settimeout(0.1)

        def answer() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.sendall(bytes(range(256)) * 64)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            for scheme in ("rtsp", "tcp", "http"):
                with _opened(f"{scheme}://127.0.0.1:{port}/x") as source:
                    assert wait_until(lambda s=source: s.status().last_error != "")  # type: ignore[misc]
                    assert source.status().frames == 0
        finally:
            stop.set()
            thread.join(5)


def test_closing_wakes_a_waiting_reader(clips: Path) -> None:
    source = open_source(f"rtsp://127.0.0.1:{free_port()}/x", camera_id=CAMERA, clock=SystemClock())
    frames: list[Frame] = []
    reader = threading.Thread(target=lambda: frames.extend(source))
    reader.start()
    source.close()
    reader.join(10)
    assert not reader.is_alive()
    assert frames == []


def test_a_motion_jpeg_camera(tmp_path: Path) -> None:
    body = b""
    for index in range(20):
        picture_path = tmp_path / "picture.jpg"
        cv2.imwrite(str(picture_path), picture(index))
        jpeg = picture_path.read_bytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        body += head.encode() + jpeg + b"\r\n"
    headers = {"Content-Type": "multipart/x-mixed-replace; boundary=--frame"}
    with (
        http_server({"/mjpg": (200, headers, body)}) as (address, _),
        _opened(address + "/mjpg") as source,
    ):
        assert wait_until(lambda: source.status().reconnects >= 1), source.status()
        assert source.status().frames >= 19
        frame = _read(source, 1)[0]
        assert (frame.time_source, frame.full_range) == ("arrival", True)
