"""`streamreid reload` on a running system of real cameras, workers and a real matcher."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamreid.control import request
from streamreid.errors import ControlError
from tests.video.clips import write_clip
from tests.video.servers import RtspServer, rtsp_server, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]

STREAMREID = (sys.executable, "-P", "-m", "streamreid.cli.main")
CONFIG = """\
streamreid: 1
cameras:
{cameras}
detector: {{kind: motion}}
matcher: {{features: torch-fp32}}
run_dir: s.run
store: {{path: {store}}}
"""


class Site:
    """A running system over RTSP cameras."""

    def __init__(self, folder: Path, server: RtspServer) -> None:
        self.config = folder / "cams.yaml"
        self.run_dir = folder / "s.run"
        self.log = folder / "log.jsonl"
        self._server = server

    def write(self, cameras: dict[str, str], store: str = "s.sqlite") -> None:
        """Write the configuration: options of every camera by name."""
        url = self._server.url("door.mp4")
        lines = [f'  {name}: {{url: "{url}"{more}}}' for name, more in cameras.items()]
        self.config.write_text(CONFIG.format(cameras="\n".join(lines), store=store))

    def workers(self) -> dict[str, dict[str, Any]]:
        """What the system says about its workers; nothing while it starts."""
        try:
            status = request(self.run_dir, "status")
        except ControlError:
            return {}
        return {one["name"]: one for one in status["workers"]}

    def wait_for(self, names: set[str]) -> dict[str, dict[str, Any]]:
        """Wait until exactly these cameras give pictures and the matcher works."""
        workers: dict[str, dict[str, Any]] = {}

        def all_work() -> bool:
            nonlocal workers
            workers = self.workers()
            return set(workers) == {*names, "matcher"} and all(
                # one that a reload has asked to stop still gives pictures until it ends
                one["state"] == "running"
                and (one.get("source") == "running" or one.get("gauges", {}).get("ready") == 1)
                for one in workers.values()
            )

        assert wait_until(all_work, 90.0), workers
        return workers

    def reload(self) -> "subprocess.CompletedProcess[str]":
        """Ask for it as a user does."""
        command = [*STREAMREID, "reload", "--cameras", str(self.config)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_clip(clips / "door.mp4", frames=1200, fps=10)
    with rtsp_server(clips) as server:
        yield Site(tmp_path, server)


@pytest.fixture
def process(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """A run over three cameras."""
    site.write({"kept": "", "changed": "", "removed": ""})
    command = [*STREAMREID, "run", "--plain", "--cameras", str(site.config)]
    with site.log.open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_cameras_come_go_and_change_and_a_broken_file_changes_nothing(
    site: Site, process: subprocess.Popen[bytes]
) -> None:
    before = site.wait_for({"kept", "changed", "removed"})
    site.write({"kept": "", "changed": ", detect_fps: 2", "added": ""})
    answer = site.reload()
    assert answer.returncode == 0, answer.stderr
    after = site.wait_for({"kept", "changed", "added"})
    assert after["kept"]["pid"] == before["kept"]["pid"]
    assert after["changed"]["pid"] != before["changed"]["pid"]

    site.write({"kept": ""}, "other.sqlite")
    refused = site.reload()
    assert refused.returncode == 2
    assert "store.path cannot change while it runs" in refused.stderr
    site.write({"kept": ", detekt_fps: 2"})
    refused = site.reload()
    assert refused.returncode == 2
    assert "did you mean detect_fps" in refused.stderr
    process.send_signal(signal.SIGHUP)

    # Whoever dies now comes back with what was accepted, not with what stands in the file.
    now = site.wait_for({"kept", "changed", "added"})
    victims = {now[name]["pid"] for name in ("changed", "matcher")}
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: victims.isdisjoint(w["pid"] for w in site.workers().values()))
    again = site.wait_for({"kept", "changed", "added"})
    restarts = {name: worker["restarts"] - now[name]["restarts"] for name, worker in again.items()}
    assert restarts == {"kept": 0, "changed": 1, "added": 0, "matcher": 1}

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert "reload refused" in site.log.read_text()
    assert not (site.run_dir / "accepted.yaml").exists()
    with closing(sqlite3.connect(site.config.with_name("s.sqlite"))) as database:
        known = {name for (name,) in database.execute("SELECT name FROM cameras")}
    assert known == {"kept", "changed", "added", "removed"}
