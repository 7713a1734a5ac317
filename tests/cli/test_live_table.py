"""The live view, the summary and `status` show what the engine noticed."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from streamreid.cli.live_table import LiveView, plain, summary
from streamreid.cli.main import main
from streamreid.control import ControlServer, socket_path
from streamreid.runtime.counter_rows import read_counters
from streamreid.runtime.counters import create_counters
from streamreid.runtime.metrics import metrics_text
from streamreid.runtime.status import RunStatus, WorkerStatus
from tests.fakes import ManualClock


def status_of(run_dir: Path, *, violations: int = 0, warnings: int = 0) -> RunStatus:
    """A matcher that was restarted once, and noticed something before and after."""
    for incarnation in (1, 2):
        matcher = create_counters(run_dir, "matcher", "matcher", incarnation, clock=ManualClock())
        matcher.set("ready", 1.0)
        matcher.set("clock_warnings", float(warnings))
        matcher.add("in_two_places", violations)
        matcher.observe_latency(1.0)
        matcher.close()
    create_counters(run_dir, "camera", "door", 1, clock=ManualClock()).close()
    workers = [
        WorkerStatus("matcher", "matcher", "running", os.getpid(), 5.0, 1, None),
        WorkerStatus("camera", "door", "parked", None, 0.0, 4, -11),
    ]
    return RunStatus(workers, read_counters(run_dir), (), stopping=False)


@pytest.mark.parametrize(
    ("violations", "warnings", "expected"),
    [
        (0, 0, "in two places at once 0"),
        (2, 1, "in two places at once 4, clock warnings 1 (see streamreid status)"),
    ],
)
def test_lines_and_summary_name_violations_and_warnings(
    tmp_path: Path, violations: int, warnings: int, expected: str
) -> None:
    status = status_of(tmp_path, violations=violations, warnings=warnings)
    line = plain(LiveView().lines(status, 0.0), status)
    assert f"{expected} |" in line
    assert summary(status).splitlines()[-1] == expected


def test_metrics_hold_both(tmp_path: Path) -> None:
    text = metrics_text(status_of(tmp_path, violations=1, warnings=2)).decode()
    labels = '{name="matcher",role="matcher"}'
    assert f"streamreid_in_two_places_total{labels} 2.0" in text
    assert f"streamreid_clock_warnings{labels} 2.0" in text


def test_status_tells_what_the_matcher_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "door.mp4").touch()
    cams = tmp_path / "cams.yaml"
    cams.write_text(
        "streamreid: 1\ncameras:\n  door: {url: door.mp4}\nstore: {path: site.sqlite}\n"
    )
    run_dir = tmp_path / "site.run"
    run_dir.mkdir(mode=0o700)
    running = status_of(run_dir, violations=3).as_dict()
    health = {"frozen": True, "warnings": ["camera 'door': its clock moved"], "in_two_places": 3}

    def answer(verb: str, _arguments: object, _caller: object) -> Mapping[str, Any]:
        return health if verb == "topology.health" else running

    servers = [
        ControlServer(socket_path(run_dir, owner), answer) for owner in ("supervisor", "matcher")
    ]
    stop, turn = threading.Event(), threading.Lock()

    def serve() -> None:
        while not stop.is_set():
            with turn:
                for server in servers:
                    server.serve(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert main(["status", "--cameras", str(cams)]) == 0
        said = capsys.readouterr().out
        with turn:
            servers.pop().close()
        assert main(["status", "--cameras", str(cams)]) == 0
        alone = capsys.readouterr().out
    finally:
        stop.set()
        thread.join()
        for server in servers:
            server.close()
    assert "camera door: parked, 4 restarts" in said
    assert "crop to row: p50 0.90 s, p95 0.99 s, p99 1.00 s" in said
    assert "in two places at once: 6" in said
    assert "transition times are frozen" in said
    assert "warning: camera 'door': its clock moved" in said
    assert "in two places at once: 6" in alone
    assert "warning" not in alone
