"""A camera's password is nowhere to be found: logs, status, metrics, command lines, files (S11)."""

import contextlib
import json
from pathlib import Path

import psutil
import pytest

from streamreid.clock import SystemClock
from streamreid.config.load import load_config
from streamreid.runtime.child import WorkerSpec
from streamreid.runtime.launch import worker_specs
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.liveness import SupervisorRules
from streamreid.runtime.logs import LogWriter
from streamreid.runtime.metrics import metrics_text
from streamreid.runtime.status import RunStatus
from streamreid.runtime.supervisor import Supervisor
from tests.runtime.test_supervisor import worker

pytestmark = [pytest.mark.process, pytest.mark.timeout(90)]

PASSWORD = "Zx7-unique-secret-q9"  # noqa: S105 - looked for, not used
CONFIG = """
streamreid: 1
cameras:
  inline: {{url: "rtsp://admin:{password}@127.0.0.1:9/stream?token={password}"}}
  hidden: {{url: "rtsp://{{env:S11_AUTH}}@127.0.0.1:9/stream"}}
  refused: {{url: "http://admin:{password}@127.0.0.1:9/video.ts"}}
detector: {{kind: motion}}
store: {{path: store.sqlite}}
"""


@pytest.mark.slow
def test_a_password_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S11_AUTH", f"admin:{PASSWORD}")
    path = tmp_path / "cams.yaml"
    path.write_text(CONFIG.format(password=PASSWORD))
    path.chmod(0o600)
    config = load_config(path)
    run_dir = config.resolved_run_dir
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    specs: list[WorkerSpec] = [
        spec for spec in worker_specs(path, config) if spec.role == "camera"
    ] + [worker(run_dir, "matcher", "matcher")]
    assert len(specs) == 4
    seen: list[str] = [repr(config), repr(specs)]
    tried: set[str] = set()

    def look(status: RunStatus) -> None:
        seen.append(json.dumps(status.as_dict(), default=str))
        seen.append(metrics_text(status).decode())
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                seen.append(" ".join(child.cmdline()))
        tried.update(
            row.name
            for row in status.rows
            if row.role == "camera" and row.values["source_state"] >= 3
        )
        if len(tried) == 3:
            supervisor.request_stop()

    with (tmp_path / "log").open("w") as stream:
        supervisor = Supervisor(
            specs,
            run_dir=run_dir,
            ledger=Ledger(run_dir, lambda _: None),
            clock=SystemClock(),
            emit=LogWriter(stream, style="json", level="debug", now_s=SystemClock().now_s),
            on_tick=look,
            rules=SupervisorRules(tick_s=0.2),
        )
        assert supervisor.run() in (0, 3)
    seen += [
        file.read_bytes().decode("latin-1")
        for file in tmp_path.rglob("*")
        if file.is_file() and file != path
    ]
    assert len(seen) > 10
    assert [text[:200] for text in seen if PASSWORD in text] == []
