"""A matcher on a disk that gets full: it lives, says so, and goes on by itself (R6)."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from streamreid.clock import SystemClock
from streamreid.messages import Hello
from streamreid.runtime.counter_rows import CounterRow, read_counters
from streamreid.runtime.counters import ProcessCounters, create_counters
from streamreid.transport.sender import Sender
from streamreid.transport.zeromq import open_sender
from streamreid.types import CameraId, Crop, TrackId

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
DOOR = CameraId("door")
INCARNATION = 5
MIB = 2**20
LEFT_BYTES = 2**18
"""Room for about six crops, each with its picture and its map."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three mebibytes, as small as the write-ahead log wants to be."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs; tests/store covers the store without it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """Address of the only camera."""
    return str(request.param)


@pytest.fixture
def matcher(disk: Path, tmp_path: Path, url: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A matcher process whose store is on the small disk, and its run_dir."""
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    (tmp_path / "door.mp4").touch()
    config = tmp_path / "cams.yaml"
    config.write_text(
        "streamreid: 1\n"
        f"cameras: {{door: {{url: '{url}'}}}}\n"
        "matcher: {features: torch-fp32, threads: 1}\n"
        f"store: {{path: {disk}/s.sqlite, min_free: 0B}}\n"
        f"run_dir: {run_dir}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "workers.matcher", "--config", str(config)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, run_dir
    finally:
        process.kill()
        process.wait()


def noisy_crop(number: int) -> Crop:
    """A picture that cannot be compressed, seen now."""
    rng = np.random.default_rng(number)
    now_s = time.time()
    return Crop(
        camera_id=DOOR,
        track_id=TrackId(1 + number // 20),
        captured_at_s=now_s,
        track_started_at_s=now_s - 1.0,
        box_xyxy=np.array([0, 0, 64, 128], np.float32),
        confidence=0.9,
        quality=0.9,
        image=rng.integers(0, 256, (128, 64, 3), dtype=np.uint8),
    )


def send_until(sender: Sender, condition: Callable[[], bool], number: int) -> int:
    """Send crops, a few at a time, until something is so; returns the next number."""
    until_s = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < until_s, "it never came to that"
        for _ in range(4):
            sender.send_crop(noisy_crop(number))
            number += 1
        sender.pump(0.2)
    return number


def row_of(run_dir: Path, name: str) -> CounterRow:
    return next(row for row in read_counters(run_dir) if row.name == name)


@pytest.mark.parametrize("url", ["door.mp4"], indirect=True)
def test_a_file_waits_for_a_full_disk_and_loses_nothing(
    disk: Path, matcher: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, run_dir = matcher
    ballast, count = disk / "ballast", 36
    clock = SystemClock()
    with create_counters(run_dir, "camera", DOOR, INCARNATION, clock=clock) as counters:
        hello = Hello(DOOR, INCARNATION, False, 640, 480, "file")
        with open_sender(
            f"ipc://{run_dir}/matcher.sock", hello, clock=clock, counters=counters
        ) as sender:
            send_some(sender, 0, 8)
            until(sender, lambda: stored(run_dir) == 8)
            free_bytes = shutil.disk_usage(disk).free
            ballast.write_bytes(b"x" * (free_bytes - LEFT_BYTES))
            send_some(sender, 8, count)
            until(sender, lambda: row_of(run_dir, "matcher").values["disk_full"] == 1)
            assert process.poll() is None
            assert stored(run_dir) < count
            ballast.unlink()
            until(sender, lambda: stored(run_dir) == count)
            check_books(counters, run_dir, disk)
            assert row_of(run_dir, DOOR).books["crop"].dropped_total == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def send_some(sender: Sender, first: int, behind: int) -> None:
    """Send crops `first` to `behind - 1` of a file, and say how far it was read."""
    for number in range(first, behind):
        crop = noisy_crop(number)
        sender.send_crop(crop)
        sender.progress(crop.captured_at_s)


def until(sender: Sender, condition: Callable[[], bool]) -> None:
    """Talk to the matcher until something is so."""
    until_s = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < until_s, f"it never came to that: {sender.pending} wait"
        sender.pump(0.2)


@pytest.mark.parametrize("url", ["rtsp://127.0.0.1:9/1"], indirect=True)
def test_a_full_disk_pauses_the_matcher_and_no_more(
    disk: Path, matcher: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, run_dir = matcher
    ballast = disk / "ballast"
    clock = SystemClock()
    with create_counters(run_dir, "camera", DOOR, INCARNATION, clock=clock) as counters:
        hello = Hello(DOOR, INCARNATION, True, 640, 480, "arrival")
        endpoint = f"ipc://{run_dir}/matcher.sock"
        with open_sender(endpoint, hello, clock=clock, counters=counters) as sender:
            number = send_until(sender, lambda: stored(run_dir) >= 8, 0)
            ballast.write_bytes(b"x" * MIB)
            number = send_until(
                sender,
                lambda: (
                    refused(run_dir) >= 8 and row_of(run_dir, "matcher").values["disk_full"] == 1
                ),
                number,
            )
            assert process.poll() is None
            ballast.unlink()
            before = stored(run_dir)
            number = send_until(sender, lambda: stored(run_dir) >= before + 8, number)
            assert process.poll() is None
            assert sender.drain(90.0)
            check_books(counters, run_dir, disk)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def stored(run_dir: Path) -> int:
    return row_of(run_dir, DOOR).books["crop"].stored


def refused(run_dir: Path) -> int:
    return row_of(run_dir, DOOR).books["crop"].dropped.get("disk_full", 0)


def check_books(counters: ProcessCounters, run_dir: Path, disk: Path) -> None:
    """What the worker counts adds up, and is what the store holds."""
    counters.mark_closed()
    counts = row_of(run_dir, DOOR).books["crop"]
    assert counts.produced == counts.stored + counts.dropped_total
    connection = sqlite3.connect(f"file:{disk}/s.sqlite?mode=ro", uri=True)
    try:
        assert connection.execute("SELECT count(*) FROM crops").fetchone()[0] == counts.stored
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    finally:
        connection.close()
