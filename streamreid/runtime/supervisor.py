"""Starts, watches, restarts and stops the workers of a run; never touches a pixel.

One thread waits on the processes (pidfds), their logs (pipes), the control socket and signals. It
must be the main thread: children die with the thread that started them.
"""

import selectors
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from streamreid.clock import Clock
from streamreid.control import Arguments, Caller, ControlServer, socket_path
from streamreid.errors import ControlError, StreamreidError
from streamreid.runtime.child import FINAL_STATES, Child, WorkerSpec
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.liveness import SupervisorRules, Watchdog
from streamreid.runtime.logs import Emit, parse_line
from streamreid.runtime.process import wake_on_signals
from streamreid.runtime.restart import EXIT_CONFIG, EXIT_SOURCE
from streamreid.runtime.status import RunStatus

EXIT_STORE = 4
EXIT_BUG = 5


class Supervisor:
    """Keeps the workers of one run alive; `run` returns the exit code of the whole.

    Args:
        specs: The matcher and the camera workers.
        run_dir: Private folder of the run.
        ledger: The books.
        clock: Monotonic time.
        emit: Where log records go.
        load_specs: Reads the configuration again for `reload`; its errors refuse the reload.
        on_tick: Called twice a second, for the live table.
        rules: Times and patience.
    """

    def __init__(
        self,
        specs: Sequence[WorkerSpec],
        *,
        run_dir: Path,
        ledger: Ledger,
        clock: Clock,
        emit: Emit,
        load_specs: Callable[[], Sequence[WorkerSpec]] | None = None,
        on_tick: Callable[[RunStatus], None] = lambda _: None,
        rules: SupervisorRules | None = None,
    ) -> None:
        self._run_dir = run_dir
        self._ledger = ledger
        self._clock = clock
        self._emit = emit
        self._load_specs = load_specs
        self._on_tick = on_tick
        self._rules = rules or SupervisorRules()
        self._watchdog = Watchdog(self._rules, self._killed)
        self._children = {spec.key: self._new_child(spec) for spec in specs}
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._stop_requests = 0
        self._fatal: int | None = None
        self._next_check_s = self._next_tick_s = clock.monotonic_s()

    def run(self) -> int:
        """Run until every camera has finished or somebody asks to stop.

        Returns:
            0 done, 2 configuration, 3 every source failed, 4 storage, 5 books that do not add up.
        """
        self._ledger.begin()
        control = ControlServer(socket_path(self._run_dir, "supervisor"), self._answer)
        self._selector.register(control, selectors.EVENT_READ, control.serve)
        try:
            with wake_on_signals(self._selector, self._signals.append):
                while not self._done():
                    self._turn()
        finally:
            self._kill_all()
            control.close()
            self._selector.close()
        self._ledger.check()
        return self._exit_code()

    def request_stop(self) -> None:
        """Ask everything to end in order; the second request kills."""
        self._stop_requests += 1
        if self._stop_requests == 1:
            self._log("info", "stopping: cameras first, then the matcher")
            self._hurry()
            return
        for child in self._children.values():
            child.signal(signal.SIGKILL)

    def _hurry(self) -> None:
        """Whoever may take long to finish has to be quick now."""
        soon_s = self._clock.monotonic_s() + self._rules.stop_s
        for child in self._children.values():
            if child.kill_at_s is not None:
                child.kill_at_s = min(child.kill_at_s, soon_s)

    def reload(self) -> dict[str, list[str]]:
        """Read the configuration again; add, remove and restart what changed.

        Returns:
            Names of the workers added, removed and changed.

        Raises:
            StreamreidError: The configuration cannot be used; everything goes on as before.
        """
        if self._load_specs is None:
            raise ControlError("this run has no configuration file to reload: stop and start it")
        wanted = {spec.key: spec for spec in self._load_specs()}
        changes: dict[str, list[str]] = {"added": [], "removed": [], "changed": []}
        for key, child in self._children.items():
            if key not in wanted:
                changes["removed"].append(child.spec.label)
                self._stop_child(child)
        for key, spec in wanted.items():
            old = self._children.get(key)
            if old is None or (not old.alive and old.state in FINAL_STATES):
                if old is None or old.spec.digest != spec.digest:
                    changes["added"].append(spec.label)
                    self._children[key] = self._new_child(spec)
            elif old.spec.digest != spec.digest or old.state == "stopping":
                changes["changed"].append(spec.label)
                self._replace(old, spec)
        self._log("info", "configuration reloaded", **changes)
        return changes

    def status(self) -> RunStatus:
        """The run now."""
        now_s = self._clock.monotonic_s()
        workers = [child.status(now_s) for child in self._children.values()]
        return RunStatus(
            workers, self._ledger.rows(), tuple(self._ledger.imbalances), self._stop_requests > 0
        )

    def _turn(self) -> None:
        """Wait for something to happen and deal with everything that is due."""
        for key, _ in self._selector.select(self._patience_s()):
            key.data()
        self._handle_signals()
        for child in list(self._children.values()):
            self._reap(child)
        if not self._stop_requests:
            self._start_due()
        if self._stop_requests or self._cameras_done():
            self._advance_stop()
        now_s = self._clock.monotonic_s()
        self._watchdog.kill_overdue(self._children.values(), now_s)
        if now_s >= self._next_tick_s:
            self._next_tick_s = now_s + self._rules.tick_s
            self._watchdog.kill_silent(self._children.values(), self._ledger.rows(), now_s)
            self._on_tick(self.status())
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + self._rules.check_s
            self._ledger.check()
            self._ledger.tidy()

    def _patience_s(self) -> float:
        """Seconds until something is due."""
        due_s = [self._next_tick_s]
        due_s += [c.start_at_s for c in self._children.values() if c.state in ("waiting", "parked")]
        due_s += [c.kill_at_s for c in self._children.values() if c.kill_at_s is not None]
        return max(0.0, min(due_s) - self._clock.monotonic_s())

    def _new_child(self, spec: WorkerSpec) -> Child:
        """A worker that is due at once."""
        rules = self._rules.restart
        if not spec.retry_for_ever:
            rules = replace(rules, retry_for_ever=False)
        return Child(spec, self._clock, rules)

    def _start_due(self) -> None:
        """Start what waits and is due; the matcher first."""
        now_s = self._clock.monotonic_s()
        for child in sorted(self._children.values(), key=lambda c: c.spec.role != "matcher"):
            if child.state not in ("waiting", "parked") or child.start_at_s > now_s:
                continue
            child.start()
            ended, log = child.descriptors
            self._selector.register(ended, selectors.EVENT_READ, lambda: None)
            self._selector.register(log, selectors.EVENT_READ, partial(self._read_log, child))
            self._log("info", "started", worker=child.spec.label, pid=child.pid)

    def _read_log(self, child: Child) -> None:
        """Take in what a worker has logged; a pipe that it has closed is not waited on again."""
        if not child.read_log(self._taker(child)):
            self._selector.unregister(child.descriptors[1])

    def _reap(self, child: Child) -> None:
        """Collect a worker that has ended, close its books, log why."""
        process = child.process
        if process is None or process.poll() is None:
            return
        for descriptor in child.descriptors:
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        was_stopping = child.state == "stopping"
        uptime_s = self._clock.monotonic_s() - child.started_at_s
        code = child.reap(self._taker(child))
        self._ledger.worker_died(child.spec.role, child.spec.name, process.pid)
        if child.state in ("waiting", "parked", "failed") and self._ledger.has_finished(
            child.spec.name
        ):
            child.state = "finished"
        expected = was_stopping or code == 0
        self._log(
            "info" if expected else "error",
            "ended",
            worker=child.spec.label,
            exit=code,
            uptime_s=round(uptime_s, 1),
            then=child.state,
        )
        if child.spec.role == "matcher" and not was_stopping and code in (EXIT_CONFIG, EXIT_STORE):
            self._matcher_gave_up(child, code)
        if child.spec.role == "camera" and child.state in ("failed", "misconfigured"):
            self._ledger.give_up(child.spec.name, self._clock)
        if was_stopping and not self._stop_requests:
            self._succeed(child)

    def _succeed(self, child: Child) -> None:
        """After a reload: a changed worker gets its successor, a removed one is forgotten."""
        if child.replacement is not None:
            self._children[child.spec.key] = self._new_child(child.replacement)
        elif child.spec.role == "camera":
            del self._children[child.spec.key]

    def _matcher_gave_up(self, child: Child, code: int) -> None:
        """Nothing works without a matcher that could never start; later failures are retried."""
        row = self.status().latest("matcher", child.spec.name)
        if code == EXIT_CONFIG or row is None or row.values["ready"] == 0:
            self._fatal = code
            child.state = "failed"
            self._stop_requests = max(self._stop_requests, 1)

    def _cameras_done(self) -> bool:
        """True when no camera worker runs or will run again."""
        cameras = [c for c in self._children.values() if c.spec.role == "camera"]
        return all(not c.alive and c.state in FINAL_STATES for c in cameras)

    def _advance_stop(self) -> None:
        """Stop camera workers; when all are gone, the matcher."""
        cameras = [c for c in self._children.values() if c.spec.role == "camera"]
        for child in cameras:
            self._stop_child(child)
        if any(child.alive for child in cameras):
            return
        for child in self._children.values():
            # at the end of all files a matcher that just died comes back first, to finish its work
            if self._stop_requests:
                self._stop_child(child)
            elif child.turns > 0 and child.state == "running":
                child.ask_to_stop(self._rules.finish_s)

    def _stop_child(self, child: Child) -> None:
        """Ask one worker to end, or leave it ended."""
        if child.state not in FINAL_STATES:
            child.replacement = None
            child.ask_to_stop(self._rules.stop_s)

    def _replace(self, child: Child, spec: WorkerSpec) -> None:
        """Restart one worker with a changed configuration."""
        if not child.alive:
            self._children[spec.key] = self._new_child(spec)
            return
        child.ask_to_stop(self._rules.stop_s)
        child.replacement = spec

    def _done(self) -> bool:
        """True when nothing runs and nothing will."""
        children = self._children.values()
        if any(child.alive for child in children):
            return False
        if self._stop_requests:
            return True
        return all(child.state in FINAL_STATES for child in children)

    def _exit_code(self) -> int:
        """Exit code of the whole run."""
        if self._fatal is not None:
            return self._fatal
        if self._ledger.imbalances:
            return EXIT_BUG
        cameras = [c for c in self._children.values() if c.spec.role == "camera"]
        if cameras and all(c.state == "misconfigured" for c in cameras):
            return EXIT_CONFIG
        if cameras and all(c.state in ("failed", "misconfigured") for c in cameras):
            return EXIT_SOURCE
        return 0

    def _answer(self, verb: str, arguments: Arguments, caller: Caller) -> Mapping[str, Any]:
        """Answer one request of the control channel."""
        if arguments:
            raise ControlError(f"'{verb}' takes no arguments")
        if verb == "status":
            return self.status().as_dict()
        if verb == "stop":
            self._log("info", "asked to stop", by_pid=caller.pid, by_uid=caller.uid)
            self.request_stop()
            return {"stopping": True}
        if verb == "reload":
            return self.reload()
        raise ControlError(f"the supervisor does not know '{verb}'")

    def _handle_signals(self) -> None:
        """Act on the signals that came."""
        while self._signals:
            if self._signals.pop(0) != signal.SIGHUP:
                self.request_stop()
                continue
            try:
                self.reload()
            except StreamreidError as exc:
                self._log("error", "reload refused", reason=str(exc))

    def _kill_all(self) -> None:
        """Leave no process behind, whatever happened."""
        for child in self._children.values():
            if child.process is not None:
                child.signal(signal.SIGKILL)
                child.process.wait()
                self._reap(child)

    def _taker(self, child: Child) -> Callable[[bytes], None]:
        """Passes a worker's log lines on."""
        return lambda line: self._emit(parse_line(line, child.spec.label))

    def _killed(self, level: str, event: str, child: Child) -> None:
        """Log what the watchdog did."""
        self._log(level, event, worker=child.spec.label)

    def _log(self, level: str, event: str, **values: object) -> None:
        """Log something of the supervisor itself."""
        self._emit({"event": event, "level": level, "process": "supervisor", **values})
