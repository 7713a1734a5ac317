"""One worker process as the supervisor sees it: started, watched, judged when it ends."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from streamreid.clock import Clock
from streamreid.runtime.counter_table import Role
from streamreid.runtime.logs import LineSplitter
from streamreid.runtime.process import PARENT_VARIABLE
from streamreid.runtime.restart import RestartHistory, RestartRules
from streamreid.runtime.status import WorkerStatus

ChildState = Literal[
    "waiting",  # will be started at `start_at_s`
    "running",
    "stopping",  # asked to end
    "parked",  # crash loop; tried again at `start_at_s`
    "finished",
    "misconfigured",
    "failed",
    "stopped",
]
FINAL_STATES: tuple[ChildState, ...] = ("finished", "misconfigured", "failed", "stopped")

_READ_BYTES = 65536
_READS_PER_TURN = 16


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A process that should run.

    Attributes:
        role: `camera` or `matcher`.
        name: Camera id; `matcher` for the matcher.
        module: Module to run, such as `workers.camera`.
        arguments: Its command line; never a secret, everybody can read it.
        digest: Changes when the worker must be restarted because its configuration changed.
        retry_for_ever: True for live cameras and the matcher; False for files.
        environ: Additional environment variables.
    """

    role: Role
    name: str
    module: str
    arguments: tuple[str, ...]
    digest: str = ""
    retry_for_ever: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Role, str]:
        """What identifies the worker over restarts and reloads."""
        return (self.role, self.name)

    @property
    def label(self) -> str:
        """Name of the worker in logs."""
        return self.name if self.role == self.name else f"{self.role} {self.name}"


class Child:
    """One worker, over all its restarts.

    Args:
        spec: What to run.
        clock: For uptimes.
        rules: How often it is restarted.
    """

    def __init__(self, spec: WorkerSpec, clock: Clock, rules: RestartRules) -> None:
        self.spec = spec
        self.state: ChildState = "waiting"
        self.start_at_s = clock.monotonic_s()
        self.started_at_s = 0.0
        self.kill_at_s: float | None = None
        self.restarts = 0
        self.last_exit: int | None = None
        self.replacement: WorkerSpec | None = None  # takes over when this one has stopped
        self.turns = -1.0
        self.turned_at_s = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.pidfd: int | None = None
        self._clock = clock
        self._history = RestartHistory(rules)
        self._lines = LineSplitter()

    @property
    def alive(self) -> bool:
        """True while the process exists."""
        return self.process is not None

    @property
    def pid(self) -> int | None:
        """Process id, or None."""
        return None if self.process is None else self.process.pid

    @property
    def descriptors(self) -> tuple[int, int]:
        """What to wait on while it runs: its end (pidfd) and its log pipe.

        Raises:
            ValueError: It does not run.
        """
        if self.process is None or self.process.stderr is None or self.pidfd is None:
            raise ValueError(f"{self.spec.label} does not run")
        return self.pidfd, self.process.stderr.fileno()

    @property
    def resident_bytes(self) -> int:
        """Memory that the process holds; 0 when it does not run."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def status(self, now_s: float) -> WorkerStatus:
        """What there is to tell about it at this moment, monotonic seconds."""
        return WorkerStatus(
            role=self.spec.role,
            name=self.spec.name,
            state=self.state,
            pid=self.pid,
            uptime_s=now_s - self.started_at_s if self.alive else 0.0,
            restarts=self.restarts,
            last_exit=self.last_exit,
            resident_bytes=self.resident_bytes,
        )

    def start(self) -> None:
        """Start the process; call it from the main thread, the parent-death signal needs that."""
        command = [sys.executable, "-P", "-m", self.spec.module, *self.spec.arguments]
        self.process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **self.spec.environ, PARENT_VARIABLE: str(os.getpid())},
            # its own group: Ctrl-C in the terminal reaches the supervisor only
            process_group=0,
        )
        self.pidfd = os.pidfd_open(self.process.pid)
        os.set_blocking(self.descriptors[1], False)
        self.state = "running"
        self.started_at_s = self.turned_at_s = self._clock.monotonic_s()
        self.turns = -1.0
        self.kill_at_s = None

    def ask_to_stop(self, grace_s: float) -> None:
        """Send SIGTERM; after `grace_s` the supervisor kills."""
        if self.process is None:
            self.state = "stopped"
            return
        if self.state == "stopping":
            return
        self.state = "stopping"
        self.kill_at_s = self._clock.monotonic_s() + grace_s
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this very process, never to one that got its number."""
        if self.pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def read_log(self, take: Callable[[bytes], None]) -> bool:
        """Give the complete lines that wait in the log pipe to `take`, at most about 1 MB.

        Returns:
            False when the process has closed the pipe.
        """
        for _ in range(_READS_PER_TURN):
            try:
                data = os.read(self.descriptors[1], _READ_BYTES)
            except BlockingIOError:
                return True
            if not data:
                return False
            for line in self._lines.feed(data):
                take(line)
        return True

    def reap(self, take: Callable[[bytes], None]) -> int | None:
        """Collect the exit code when the process has ended, and the rest of its log.

        Returns:
            The exit code, or None while it runs.
        """
        if self.process is None:
            return None
        code = self.process.poll()
        if code is None:
            return None
        self.read_log(take)
        for line in self._lines.finish():
            take(line)
        if self.process.stderr is not None:
            self.process.stderr.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.process = self.pidfd = None
        self.last_exit = code
        self._judge(code)
        return code

    def _judge(self, code: int) -> None:
        """Decide what becomes of the worker."""
        now_s = self._clock.monotonic_s()
        if self.state == "stopping":
            self.state = "stopped"
            return
        decision = self._history.decide(code, now_s=now_s, uptime_s=now_s - self.started_at_s)
        if decision.verdict == "restart":
            self.state = "waiting"
        else:
            self.state = decision.verdict
        if self.state in ("waiting", "parked"):
            self.start_at_s = now_s + decision.delay_s
            self.restarts += 1
