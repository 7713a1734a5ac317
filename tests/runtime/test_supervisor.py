"""The supervisor with real processes: starts, restarts, parks, stops, and leaves nobody behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from streamreid.clock import SystemClock
from streamreid.control import request
from streamreid.errors import ConfigError, ControlError
from streamreid.runtime.child import WorkerSpec
from streamreid.runtime.counter_rows import ended_cameras, read_counters
from streamreid.runtime.counter_table import Role
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.liveness import SupervisorRules
from streamreid.runtime.logs import Record
from streamreid.runtime.restart import RestartRules
from streamreid.runtime.status import RunStatus
from streamreid.runtime.supervisor import Supervisor

pytestmark = [pytest.mark.process, pytest.mark.timeout(60)]

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = SupervisorRules(
    restart=RestartRules(first_delay_s=0.05, longest_delay_s=0.2, loop_s=60.0, parked_s=30.0),
    silent_s=3.0,
    start_s=20.0,
    stop_s=1.0,
    check_s=0.2,
    tick_s=0.05,
)


class Run:
    """A supervisor under test, with everything it said.

    Args:
        run_dir: Private folder.
        specs: What it runs.
        reloaded: What its configuration holds when it is read again.
        rules: Times and patience.
    """

    def __init__(
        self,
        run_dir: Path,
        specs: Sequence[WorkerSpec],
        reloaded: Callable[[], Sequence[WorkerSpec]] | None = None,
        rules: SupervisorRules = QUICK,
    ) -> None:
        self.log: list[Record] = []
        self.conditions: list[tuple[Callable[[RunStatus], bool], Callable[[], object]]] = []
        self.supervisor = Supervisor(
            specs,
            run_dir=run_dir,
            ledger=Ledger(run_dir, self.log.append),
            clock=SystemClock(),
            emit=self.log.append,
            load_specs=reloaded,
            on_tick=self._tick,
            rules=rules,
        )

    def when(self, condition: Callable[[RunStatus], bool], act: Callable[[], object]) -> None:
        """Do something once a condition holds; conditions are met in the order given."""
        self.conditions.append((condition, act))

    def run(self) -> int:
        """Run to the end."""
        return self.supervisor.run()

    def said(self, event: str, **values: object) -> list[Record]:
        """Log records of one event."""
        return [
            record
            for record in self.log
            if record["event"] == event
            and all(record.get(key) == value for key, value in values.items())
        ]

    def _tick(self, status: RunStatus) -> None:
        if self.conditions and self.conditions[0][0](status):
            self.conditions.pop(0)[1]()


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    yield folder
    left = [child for child in psutil.Process().children() if child.status() != "zombie"]
    assert not left, "worker processes are left behind"


def worker(
    run_dir: Path,
    role: Role,
    name: str,
    behaviour: str = "good",
    *,
    digest: str = "",
    live: bool = True,
) -> WorkerSpec:
    return WorkerSpec(
        role,
        name,
        "tests.runtime.fake_worker",
        ("--run-dir", str(run_dir), "--role", role, "--name", name, "--behaviour", behaviour),
        digest=digest or behaviour,
        retry_for_ever=live,
        environ={"PYTHONPATH": str(REPOSITORY)},
    )


def states(status: RunStatus) -> dict[str, str]:
    return {one.name: one.state for one in status.workers}


def states_of(run: Run) -> dict[str, str]:
    return states(run.supervisor.status())


def restarts(status: RunStatus, name: str) -> int:
    return next(one.restarts for one in status.workers if one.name == name)


def all_work(status: RunStatus) -> bool:
    return status.ready and all(
        status.counter(one.role, one.name, "turns") > 2 for one in status.workers
    )


def test_files_are_read_to_their_end_and_the_matcher_ends_last(run_dir: Path) -> None:
    run = Run(
        run_dir,
        [
            worker(run_dir, "matcher", "matcher", "thorough"),
            worker(run_dir, "camera", "a", "short", live=False),
            worker(run_dir, "camera", "b", "short", live=False),
        ],
    )
    assert run.run() == 0
    last = run.said("ended")[-1]
    # it had all the time it needed, more than a worker gets that is asked to stop
    assert (last["worker"], last["exit"]) == ("matcher", 0)
    assert ended_cameras(run_dir) == {"a", "b"}
    assert run.said("hello from a", process="camera a")
    assert "hunter2" not in json.dumps(run.log)


def test_each_worker_gets_what_it_deserves_and_the_others_do_not_notice(run_dir: Path) -> None:
    """One run with every kind of trouble at once."""
    run = Run(
        run_dir,
        [
            worker(run_dir, "matcher", "matcher"),
            worker(run_dir, "camera", "good"),
            worker(run_dir, "camera", "victim"),
            worker(run_dir, "camera", "crashing", "crash"),
            worker(run_dir, "camera", "misconfigured", "exit2"),
            worker(run_dir, "camera", "unreachable", "exit3"),
            worker(run_dir, "camera", "hanging", "hang"),
            worker(run_dir, "camera", "deaf", "deaf"),
        ],
        rules=replace(QUICK, stop_s=3.0),
    )

    def kill_victim() -> None:
        pids = {one.name: one.pid for one in run.supervisor.status().workers}
        os.kill(pids["victim"] or 0, signal.SIGKILL)

    run.when(lambda s: s.counter("camera", "victim", "turns") > 2, kill_victim)
    run.when(
        lambda s: (
            restarts(s, "victim") == 1
            and states(s)["victim"] == "running"
            and states(s)["crashing"] == "parked"
            and states(s)["misconfigured"] == "misconfigured"
            and restarts(s, "unreachable") >= 3
            and restarts(s, "hanging") >= 1
            and s.counter("camera", "deaf", "turns") > 2
        ),
        lambda: os.kill(os.getpid(), signal.SIGTERM),
    )
    assert run.run() == 0
    starts = {name: len(run.said("started", worker=f"camera {name}")) for name in states_of(run)}
    assert len(run.said("started", worker="matcher")) == 1
    assert starts["good"] == starts["misconfigured"] == starts["deaf"] == 1
    assert starts["victim"] == 2
    assert starts["crashing"] == 4
    assert len(run.said("ended", worker="camera crashing", exit=-signal.SIGSEGV)) == 4
    assert run.said("ended", worker="camera victim", exit=-signal.SIGKILL)
    assert {one["worker"] for one in run.said("stands still: killed")} == {"camera hanging"}
    killed = {one["worker"] for one in run.said("did not stop in time: killed")}
    assert "camera deaf" in killed
    assert killed <= {"camera deaf", "camera hanging"}
    ended = run.said("ended")
    assert (ended[-1]["worker"], ended[-1]["exit"]) == ("matcher", 0)


def test_a_parked_camera_is_tried_again_and_the_others_go_on(run_dir: Path) -> None:
    restart = replace(QUICK.restart, parked_s=0.5)
    run = Run(
        run_dir,
        [
            worker(run_dir, "matcher", "matcher"),
            worker(run_dir, "camera", "good"),
            worker(run_dir, "camera", "crashing", "crash"),
        ],
        rules=replace(QUICK, restart=restart),
    )
    run.when(lambda s: restarts(s, "crashing") >= 6, run.supervisor.request_stop)
    assert run.run() == 0
    then = [record["then"] for record in run.said("ended", worker="camera crashing")]
    assert then[:6] == ["waiting", "waiting", "waiting", "parked", "waiting", "waiting"]
    assert len(run.said("started", worker="camera good")) == 1


@pytest.mark.parametrize("code", [2, 4])
def test_without_a_matcher_that_can_start_the_run_ends_with_its_code(
    run_dir: Path, code: int
) -> None:
    run = Run(
        run_dir,
        [worker(run_dir, "matcher", "matcher", f"exit{code}"), worker(run_dir, "camera", "a")],
    )
    assert run.run() == code


@pytest.mark.parametrize(("behaviour", "code"), [("exit3", 3), ("exit2", 2)])
def test_when_every_source_failed_the_exit_code_says_so(
    run_dir: Path, behaviour: str, code: int
) -> None:
    run = Run(
        run_dir,
        [
            worker(run_dir, "matcher", "matcher"),
            worker(run_dir, "camera", "a", behaviour, live=False),
            worker(run_dir, "camera", "b", behaviour, live=False),
        ],
    )
    assert run.run() == code
    # the matcher must not wait for them
    assert ended_cameras(run_dir) == {"a", "b"}


def test_reload_adds_removes_and_restarts_what_changed(run_dir: Path) -> None:
    wanted = [
        worker(run_dir, "matcher", "matcher"),
        worker(run_dir, "camera", "kept"),
        worker(run_dir, "camera", "changed", digest="new"),
        worker(run_dir, "camera", "added"),
    ]
    run = Run(
        run_dir,
        [
            worker(run_dir, "matcher", "matcher"),
            worker(run_dir, "camera", "kept"),
            worker(run_dir, "camera", "changed", digest="old"),
            worker(run_dir, "camera", "removed"),
        ],
        reloaded=lambda: wanted,
    )
    run.when(all_work, lambda: os.kill(os.getpid(), signal.SIGHUP))
    run.when(
        lambda s: set(states(s)) == {"matcher", "kept", "changed", "added"} and all_work(s),
        run.supervisor.request_stop,
    )
    assert run.run() == 0
    started = [record["worker"] for record in run.said("started")]
    assert started.count("camera kept") == started.count("matcher") == 1
    assert started.count("camera changed") == 2
    assert run.said(
        "configuration reloaded",
        added=["camera added"],
        removed=["camera removed"],
        changed=["camera changed"],
    )


def test_a_broken_configuration_refuses_the_reload_and_changes_nothing(run_dir: Path) -> None:
    def broken() -> Sequence[WorkerSpec]:
        raise ConfigError("cams.yaml:3:1: unknown key")

    run = Run(
        run_dir,
        [worker(run_dir, "matcher", "matcher"), worker(run_dir, "camera", "a")],
        reloaded=broken,
    )
    run.when(all_work, lambda: os.kill(os.getpid(), signal.SIGHUP))
    run.when(lambda _: bool(run.said("reload refused")), run.supervisor.request_stop)
    assert run.run() == 0
    assert len(run.said("started")) == 2


def test_the_control_channel_tells_the_status_and_stops_the_run(run_dir: Path) -> None:
    run = Run(run_dir, [worker(run_dir, "matcher", "matcher"), worker(run_dir, "camera", "a")])
    answers: list[object] = []

    def ask() -> None:
        while not run.said("hello from a"):
            time.sleep(0.05)
        answers.append(request(run_dir, "status"))
        with pytest.raises(ControlError, match="takes no arguments"):
            request(run_dir, "stop", {"now": True})
        answers.append(request(run_dir, "stop"))

    asker = threading.Thread(target=ask)
    asker.start()
    assert run.run() == 0
    asker.join()
    status, stopping = answers
    assert isinstance(status, dict)
    assert {one["name"]: one["state"] for one in status["workers"]} == {
        "matcher": "running",
        "a": "running",
    }
    assert stopping == {"stopping": True}
    with pytest.raises(ControlError, match="no streamreid supervisor is running"):
        request(run_dir, "status")


def test_killing_the_supervisor_leaves_no_orphans(run_dir: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.runtime.test_supervisor import *\n"
        "d = Path(sys.argv[1])\n"
        "Run(d, [worker(d, 'matcher', 'matcher'), worker(d, 'camera', 'a')]).run()\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", script, str(run_dir)], cwd=REPOSITORY)
    try:
        children: list[psutil.Process] = []
        deadline_s = time.monotonic() + 30
        while len(children) < 2 and time.monotonic() < deadline_s:
            rows = [row for row in read_counters(run_dir) if row.values["turns"] > 2]
            children = [psutil.Process(row.pid) for row in rows]
            time.sleep(0.05)
        assert len(children) == 2
    finally:
        supervisor.kill()
        supervisor.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
