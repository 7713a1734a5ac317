"""Requests about the learned ways between cameras: freeze, thaw, and what to look at."""

from collections.abc import Callable, Mapping
from typing import Any

from streamreid.control import Arguments, Caller
from streamreid.engine.engine import Engine
from streamreid.engine.events import Outcome, TimeRecord
from streamreid.errors import ControlError
from streamreid.store.rows import Batch
from streamreid.store.writer import StoreWriter

PREFIX = "topology."
VERBS = ("freeze", "thaw", "health")


class TopologyDesk:
    """Answers `topology.*` requests inside a running matcher.

    Args:
        engine: Learns and warns.
        writer: The store.
        commit: Writes an outcome, after what was decided before it.
        now_s: Event time.
    """

    def __init__(
        self,
        engine: Engine,
        writer: StoreWriter,
        *,
        commit: Callable[[Outcome], None],
        now_s: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._commit = commit
        self._now_s = now_s

    def handle(self, verb: str, arguments: Arguments, caller: Caller) -> Mapping[str, Any]:
        """Carry out one request.

        Raises:
            ControlError: If the verb is unknown.
        """
        del caller
        name = verb.removeprefix(PREFIX)
        if name not in VERBS:
            known = ", ".join(PREFIX + one for one in VERBS)
            raise ControlError(f"the matcher does not know '{verb}': it knows {known}")
        if name != "health":
            self._commit(self._engine.freeze(name == "freeze", self._now_s()))
            self._writer.audit(str(arguments.get("actor", "operator"))[:64], verb, {})
        return {
            "frozen": self._engine.frozen,
            "warnings": self._engine.warnings(),
            "in_two_places": self._engine.violations,
        }


def freeze_at_rest(writer: StoreWriter, frozen: bool, *, at_s: float) -> None:
    """Freeze or thaw what a store without a running matcher has learned.

    Args:
        writer: The store, opened for writing.
        frozen: True to freeze.
        at_s: Time of the change, epoch seconds.
    """
    record = TimeRecord("frozen", (float(frozen),), at_s)
    writer.commit(Batch(outcome=Outcome(records=(record,))))
    writer.audit("operator", PREFIX + ("freeze" if frozen else "thaw"), {})
