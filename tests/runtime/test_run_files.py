"""`streamreid run` on drawn files: real processes, real ZeroMQ, real SQLite."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamreid.runtime.counter_rows import CounterRow, read_counters
from streamreid.simulation.demo_scene import demo_scene, short_scene
from streamreid.simulation.recording import record_scene

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

RUN = (sys.executable, "-P", "-m", "streamreid.cli.main", "run", "--plain", "--cameras")
RESULTS = (
    "SELECT id, camera_id, started_at, ended_at, end_reason, identity_id FROM tracks",
    "SELECT track_id, revision, decided_at, identity_id, reason FROM decisions",
    "SELECT id, track_id, captured_at, quality, hex(vector), hex(feature_map) FROM crops",
    "SELECT track_id, captured_at, x1, y1, x2, y2, confidence FROM detections",
    "SELECT id, created_at, last_seen_at, status FROM identities",
)
PROBABILITIES = "SELECT probability FROM decisions"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first seconds of the demo scene, two cameras, as files with a cams.yaml."""
    folder = tmp_path_factory.mktemp("scene")
    record_scene(short_scene(demo_scene(), duration_s=14.0, cameras=2), folder)
    config = folder / "cams.yaml"
    config.write_text(
        config.read_text() + "detector: {kind: motion}\nmatcher: {features: torch-fp32}\n"
    )
    return folder


def _config(scene: Path, tmp_path: Path) -> Path:
    """A configuration of its own, so that every test has its own store."""
    for video in scene.glob("*.mp4"):
        (tmp_path / video.name).symlink_to(video)
    config = tmp_path / "cams.yaml"
    config.write_text((scene / "cams.yaml").read_text())
    return config


def _run(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, str(config)], check=False, capture_output=True, text=True, timeout=180
    )


def _rows(config: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(config.with_name("streamreid.sqlite"))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_run_over_files_loses_nothing_and_decides_everything(scene: Path, tmp_path: Path) -> None:
    config = _config(scene, tmp_path)
    done = _run(config)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("adds up") == 6
    streams = _rows(config, "SELECT kind, produced, stored, dropped FROM streams")
    assert len(streams) == 6
    for kind, produced, stored, dropped in streams:
        assert produced == stored, (kind, dropped)
    assert _rows(config, "SELECT count(*) FROM tracks WHERE identity_id IS NULL") == [(0,)]
    assert _rows(config, "SELECT count(*) FROM tracks WHERE ended_at IS NULL") == [(0,)]
    cameras = _rows(config, "SELECT DISTINCT camera FROM sightings ORDER BY camera")
    assert cameras == [("corridor",), ("entrance",)]
    assert _rows(config, "SELECT exit_reason FROM runs") == [("done",)]


@pytest.fixture(scope="module")
def undisturbed(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a run that nothing happened to."""
    config = _config(scene, tmp_path_factory.mktemp("calm"))
    assert _run(config).returncode == 0
    return config


def _assert_equal(config: Path, undisturbed: Path, *, restarted: bool = False) -> None:
    """Every track, crop, decision and identity is the same, and so are probabilities.

    After a restart of the matcher these are equal but for the rounding, since it may score the same
    pairs in other batches, and for final decisions: at the moment of a provisional one it may know
    crops that a camera sent only after it.
    """
    for query in RESULTS:
        expected = _rows(undisturbed, query)
        assert expected, query
        assert _rows(config, query) == expected, query
    query = PROBABILITIES + " WHERE final" if restarted else PROBABILITIES
    found, wanted = (np.array(_rows(one, query)) for one in (config, undisturbed))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 if restarted else 0)


@pytest.mark.slow
def test_two_runs_are_equal_bit_for_bit(scene: Path, undisturbed: Path, tmp_path: Path) -> None:
    config = _config(scene, tmp_path)
    assert _run(config).returncode == 0
    _assert_equal(config, undisturbed)


@pytest.fixture
def running(scene: Path, tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A run in its own process, killed at the end whatever happens."""
    config = _config(scene, tmp_path)
    process = subprocess.Popen(
        [*RUN, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield config, process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_matcher_comes_back_and_nobody_is_lost_or_gets_another_identity(
    running: tuple[Path, subprocess.Popen[bytes]], undisturbed: Path
) -> None:
    config, process = running
    matcher = _wait_for_crops(config, process)
    os.kill(matcher, signal.SIGKILL)
    assert process.wait(180) == 0
    for produced, stored in _rows(config, "SELECT produced, stored FROM streams"):
        assert produced == stored
    assert _rows(config, "SELECT count(*) FROM runs WHERE exit_reason = 'crash'") == [(1,)]
    _assert_equal(config, undisturbed, restarted=True)


@pytest.mark.slow
def test_a_killed_camera_worker_reads_its_file_again_and_nothing_is_lost_or_doubled(
    running: tuple[Path, subprocess.Popen[bytes]], undisturbed: Path
) -> None:
    config, process = running
    matcher = _wait_for_crops(config, process)
    os.kill(matcher, signal.SIGSTOP)  # nobody reaches the end of a file now
    victims = [
        row.pid
        for row in _counters(config)
        if row.role == "camera" and not row.closed and row.values["frames_detected"]
    ]
    os.kill(victims[0], signal.SIGKILL)
    os.kill(matcher, signal.SIGCONT)
    assert process.wait(180) == 0
    _assert_equal(config, undisturbed)
    for _, produced, stored, dropped in _rows(
        config, "SELECT kind, produced, stored, dropped FROM streams"
    ):
        assert (produced, dropped) == (stored, "{}")


def _counters(config: Path) -> list[CounterRow]:
    return read_counters(config.with_name("streamreid.run"))


def _wait_for_crops(config: Path, process: subprocess.Popen[bytes]) -> int:
    """Process id of the matcher once it has stored something."""
    deadline = time.monotonic() + 80
    while time.monotonic() < deadline and process.poll() is None:
        for row in _counters(config):
            if row.role == "matcher" and row.values["crops_stored"] > 0:
                return row.pid
        time.sleep(0.02)
    raise AssertionError("the matcher stored nothing")
