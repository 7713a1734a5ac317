"""Decisions on their way into the store: kept until they are committed, however full it is."""

from streamreid.engine.events import Outcome
from streamreid.errors import StoreFullError
from streamreid.runtime.counter_table import Counters
from streamreid.runtime.matcher_chores import Chores
from streamreid.store.rows import Batch
from streamreid.store.writer import StoreWriter


class DecisionLog:
    """What the engine decided and the store does not have yet.

    Args:
        writer: The store.
        counters: Where decisions are counted.
        chores: Keeps the number of identities.
    """

    def __init__(self, writer: StoreWriter, counters: Counters, chores: Chores) -> None:
        self._writer = writer
        self._counters = counters
        self._chores = chores
        self._unsaved: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Take in what was decided; `save` writes it."""
        if outcome != Outcome():
            self._unsaved.append(outcome)

    def save(self) -> None:
        """Commit everything in one batch; kept and tried again while the store is full."""
        if not self._unsaved:
            return
        outcome = Outcome(
            tuple(row for one in self._unsaved for row in one.decisions),
            tuple(row for one in self._unsaved for row in one.identities),
            tuple(row for one in self._unsaved for row in one.transitions),
            tuple(row for one in self._unsaved for row in one.records),
            tuple(row for one in self._unsaved for row in one.comparisons),
        )
        try:
            self._writer.commit(Batch(outcome=outcome))
        except StoreFullError:
            self._counters.set("disk_full", 1)
            return
        self._unsaved.clear()
        self._counters.add("decisions", len(outcome.decisions))
        self._chores.count_identities(outcome.identities)
