"""Tells people what the engine noticed: clocks that moved, and people in two places at once."""

from typing import Protocol

from streamreid.runtime.counter_table import Counters
from streamreid.runtime.worker_log import warn


class Noticing(Protocol):
    """The part of the engine that is looked at."""

    @property
    def violations(self) -> int:
        """Final tracks whose identity was in two places at once."""

    def warnings(self) -> list[str]:
        """What an operator should look at."""


class EngineWatch:
    """Counts and logs what the engine notices; every warning is logged when it appears.

    Args:
        engine: The engine.
        counters: Where the numbers go.
    """

    def __init__(self, engine: Noticing, counters: Counters) -> None:
        self._engine = engine
        self._counters = counters
        self._counted = 0
        self._told: frozenset[str] = frozenset()

    def look(self) -> None:
        """Bring counters up to date and log what is new."""
        warnings = frozenset(self._engine.warnings())
        for text in sorted(warnings - self._told):
            warn("a camera's times do not fit", detail=text)
        self._told = warnings
        self._counters.set("clock_warnings", len(warnings))
        fresh = self._engine.violations - self._counted
        if fresh > 0:
            self._counted += fresh
            self._counters.add("in_two_places", fresh)
