"""Fair timing: variants take turns within every round, ratios are taken within a round."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

Work = Callable[[], object]
Clock = Callable[[], float]

_CPU = torch.device("cpu")

UNTIMED_RUNS = 3
"""Runs before each timed one: threads of another library give up the cores only after a few."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one variant took, seconds per round."""

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.seconds)

    @property
    def best_s(self) -> float:
        """Fastest round: what the machine does when nothing else disturbs it."""
        return min(self.seconds)

    def times_faster_than(self, other: "Timing") -> float:
        """Median over the rounds of how many times faster this is; noise hits both alike."""
        pairs = zip(other.seconds, self.seconds, strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def clock_for(threads: int, device: torch.device = _CPU) -> Clock:
    """CPU time for one thread, which other processes disturb less.

    Wall time for more, or where a GPU does the work.
    """
    alone = threads == 1 and device.type == "cpu"
    return time.process_time if alone else time.perf_counter


def sync_for(device: torch.device) -> Work:
    """Waits until a GPU has done what was asked of it; nothing for a CPU."""
    if device.type == "cuda":
        return partial(torch.cuda.synchronize, device)
    return lambda: None


def take_turns(
    variants: Mapping[str, Work], *, rounds: int, clock: Clock, sync: Work = lambda: None
) -> dict[str, Timing]:
    """Time every variant once per round, each right after untimed runs of its own.

    Without those a fast variant would mostly be charged for refilling the caches that the one
    before it has used, and for waiting until the threads of that one's library let go of the cores.

    Args:
        variants: What to run, by name.
        rounds: Number of rounds, at least 1.
        clock: Seconds from any start.
        sync: Waits for the device; called before each reading of the clock.

    Returns:
        The timing of each variant.
    """
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            for _untimed in range(UNTIMED_RUNS):
                run()
            sync()
            started = clock()
            run()
            sync()
            taken[name].append(clock() - started)
    return {name: Timing(tuple(seconds)) for name, seconds in taken.items()}
