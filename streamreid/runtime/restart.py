"""When a process that ended is started again: plain numbers, no processes."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

EXIT_DONE, EXIT_CONFIG, EXIT_SOURCE = 0, 2, 3

Verdict = Literal["finished", "restart", "parked", "misconfigured", "failed"]
"""`parked` is tried again later; `finished`, `misconfigured` and `failed` are final."""


@dataclass(frozen=True, slots=True)
class RestartRules:
    """How patient the supervisor is.

    Attributes:
        first_delay_s: Wait before the first restart; doubled for every further one.
        longest_delay_s: Upper bound of that wait.
        healthy_s: A process that ran this long starts with the first wait again.
        loop_deaths: So many deaths within `loop_s` are a crash loop.
        loop_s: See `loop_deaths`.
        parked_s: Wait of a crash loop before it is tried again.
        longest_source_delay_s: Upper bound of the wait after exit code 3.
        retry_for_ever: True for live sources; False makes a crash loop, or exit code 3, final.
    """

    first_delay_s: float = 0.2
    longest_delay_s: float = 30.0
    healthy_s: float = 60.0
    loop_deaths: int = 4
    loop_s: float = 10.0
    parked_s: float = 60.0
    longest_source_delay_s: float = 60.0
    retry_for_ever: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a process that ended, and after how long."""

    verdict: Verdict
    delay_s: float = 0.0


class RestartHistory:
    """The deaths of one process.

    Args:
        rules: How patient to be.
    """

    def __init__(self, rules: RestartRules) -> None:
        self._rules = rules
        self._deaths: deque[float] = deque(maxlen=rules.loop_deaths)
        self._delay_s = rules.first_delay_s

    def decide(self, exit_code: int, *, now_s: float, uptime_s: float) -> Decision:
        """Judge one end of the process.

        Args:
            exit_code: As `Popen.returncode`: negative for signals.
            now_s: Monotonic time of the end.
            uptime_s: How long the process had run.
        """
        rules = self._rules
        final: dict[int, Verdict] = {EXIT_DONE: "finished", EXIT_CONFIG: "misconfigured"}
        if not rules.retry_for_ever:
            final[EXIT_SOURCE] = "failed"
        if exit_code in final:
            return Decision(final[exit_code])
        if uptime_s >= rules.healthy_s:
            self._delay_s = rules.first_delay_s
            self._deaths.clear()
        if exit_code == EXIT_SOURCE:
            return Decision("restart", self._next_delay_s(rules.longest_source_delay_s))
        self._deaths.append(now_s)
        looping = len(self._deaths) == rules.loop_deaths and now_s - self._deaths[0] <= rules.loop_s
        if looping:
            self._deaths.clear()
            verdict: Verdict = "parked" if rules.retry_for_ever else "failed"
            return Decision(verdict, rules.parked_s)
        return Decision("restart", self._next_delay_s(rules.longest_delay_s))

    def _next_delay_s(self, longest_s: float) -> float:
        """The wait now; the next one will be twice as long."""
        delay_s = min(self._delay_s, longest_s)
        self._delay_s = 2 * delay_s
        return delay_s
