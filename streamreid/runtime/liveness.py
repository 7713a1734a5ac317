"""Kills workers that stand still or do not end: a living process id proves nothing."""

import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from streamreid.runtime.child import Child
from streamreid.runtime.counter_rows import CounterRow
from streamreid.runtime.restart import RestartRules


@dataclass(frozen=True, slots=True)
class SupervisorRules:
    """Times and patience.

    Attributes:
        restart: For live cameras and the matcher.
        silent_s: A camera worker whose loop stands still this long is killed.
        silent_matcher_s: The same for the matcher, which may have a large decision to make.
        start_s: The same before its first turn: models are loaded then.
        stop_s: A worker that was asked to stop is killed after this.
        finish_s: The same for the matcher after the end of all files, when it decides what is left.
        check_s: How often the books are checked.
        tick_s: How often liveness is looked at and `on_tick` is called.
    """

    restart: RestartRules = field(default_factory=RestartRules)
    silent_s: float = 20.0
    silent_matcher_s: float = 60.0
    start_s: float = 300.0
    stop_s: float = 10.0
    finish_s: float = 3600.0
    check_s: float = 5.0
    tick_s: float = 0.5


class Watchdog:
    """Watches the progress of workers.

    Args:
        rules: How long who may stand still.
        log: Told level, event and worker of every kill.
    """

    def __init__(self, rules: SupervisorRules, log: Callable[[str, str, Child], None]) -> None:
        self._rules = rules
        self._log = log

    def kill_overdue(self, children: Iterable[Child], now_s: float) -> None:
        """Kill what was asked to stop and did not."""
        for child in children:
            if child.alive and child.kill_at_s is not None and now_s >= child.kill_at_s:
                self._log("warning", "did not stop in time: killed", child)
                child.kill_at_s = None
                child.signal(signal.SIGKILL)

    def kill_silent(
        self, children: Iterable[Child], rows: Iterable[CounterRow], now_s: float
    ) -> None:
        """Kill workers whose loop stands still.

        Args:
            children: All workers.
            rows: Counters of all processes.
            now_s: Monotonic seconds.
        """
        turns = {(row.role, row.name, row.pid): row.values["turns"] for row in rows}
        for child in children:
            if child.state != "running" or child.pid is None:
                continue
            current = turns.get((child.spec.role, child.spec.name, child.pid), 0.0)
            if current != child.turns:
                child.turns, child.turned_at_s = current, now_s
            if now_s - child.turned_at_s > self._limit_s(child):
                self._log("error", "stands still: killed", child)
                child.turned_at_s = now_s
                child.signal(signal.SIGKILL)

    def _limit_s(self, child: Child) -> float:
        """How long a worker's loop may stand still."""
        if child.turns <= 0:
            return self._rules.start_s
        is_matcher = child.spec.role == "matcher"
        return self._rules.silent_matcher_s if is_matcher else self._rules.silent_s
