"""What answers operators inside a running matcher, and what every such desk has at hand."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streamreid.control import Arguments, Caller
from streamreid.engine.engine import Engine
from streamreid.engine.events import Outcome
from streamreid.store.writer import StoreWriter


@dataclass(frozen=True, slots=True)
class Desk(ABC):
    """Answers one family of requests.

    Attributes:
        engine: Decides, learns and warns; it alone knows what is undecided.
        writer: The store.
        commit: Writes an outcome, after what was decided before it.
        now_s: Event time.
    """

    engine: Engine
    writer: StoreWriter
    commit: Callable[[Outcome], None]
    now_s: Callable[[], float]

    @abstractmethod
    def handle(self, verb: str, arguments: Arguments, caller: Caller) -> Mapping[str, Any]:
        """Carry out one request.

        Raises:
            ControlError: If the verb or an argument is unknown.
            AssociationError: If a correction is not possible.
        """
