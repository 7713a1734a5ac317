"""Requests about the learned ways between cameras: freeze, thaw, and what to look at."""

from collections.abc import Mapping
from typing import Any

from streamreid.control import Arguments, Caller
from streamreid.engine.events import Outcome, TimeRecord
from streamreid.errors import ControlError
from streamreid.runtime.desk import Desk
from streamreid.store.rows import Batch
from streamreid.store.writer import StoreWriter

PREFIX = "topology."
VERBS = ("freeze", "thaw", "health")


class TopologyDesk(Desk):
    """Answers `topology.*` requests inside a running matcher."""

    def handle(self, verb: str, arguments: Arguments, caller: Caller) -> Mapping[str, Any]:
        """Freeze, thaw, or only tell what there is to look at; see `Desk`."""
        del caller
        name = verb.removeprefix(PREFIX)
        if name not in VERBS:
            known = ", ".join(PREFIX + one for one in VERBS)
            raise ControlError(f"the matcher does not know '{verb}': it knows {known}")
        if name != "health":
            self.commit(self.engine.freeze(name == "freeze", self.now_s()))
            self.writer.audit(str(arguments.get("actor", "operator"))[:64], verb, {})
        return {
            "frozen": self.engine.frozen,
            "warnings": self.engine.warnings(),
            "in_two_places": self.engine.violations,
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
