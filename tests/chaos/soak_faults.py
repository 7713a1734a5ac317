"""Faults at random moments in a running system: cameras' servers, camera workers, the matcher."""

import os
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streamreid.runtime.counter_rows import CounterRow
from streamreid.types import CameraId
from tests.video.servers import RtspServer

FaultKind = Literal["server killed", "server frozen", "worker killed", "matcher killed"]
_KINDS: tuple[FaultKind, ...] = (
    "server killed",
    "server frozen",
    "worker killed",
    "matcher killed",
)
_SERVER_AWAY_S = (1.0, 8.0)
_FROZEN_S = (4.0, 18.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was injected.

    Attributes:
        kind: What was done.
        target: Camera, or `matcher`.
        at_s: When, epoch seconds.
        lasts_s: How long the server was away or frozen; 0 for processes that are restarted.
    """

    kind: FaultKind
    target: str
    at_s: float
    lasts_s: float = 0.0


class Faults:
    """Injects faults of every kind in turn, at random moments, into random victims.

    Args:
        servers: The RTSP server of every camera.
        first_s: Earliest fault, epoch seconds.
        last_s: Latest fault.
        every_s: Mean seconds between two faults.
        seed: Chooses everything.
    """

    def __init__(
        self,
        servers: Mapping[CameraId, RtspServer],
        *,
        first_s: float,
        last_s: float,
        every_s: float,
        seed: int,
    ) -> None:
        self.done: list[Fault] = []
        self._servers = servers
        self._last_s = last_s
        self._every_s = every_s
        self._rng = random.Random(seed)
        self._next_s = first_s
        self._deck: list[FaultKind] = []
        self._repairs: list[tuple[float, RtspServer, FaultKind]] = []

    def turn(self, now_s: float, rows: Sequence[CounterRow]) -> None:
        """Repair what is due, then break something if it is time.

        Args:
            now_s: Epoch seconds.
            rows: Counters of all processes.
        """
        for repair in [one for one in self._repairs if one[0] <= now_s]:
            self._repairs.remove(repair)
            self._repair(repair[1], repair[2])
        if self._next_s <= now_s <= self._last_s:
            self._next_s = now_s + self._every_s * self._rng.uniform(0.5, 1.5)
            self._break(now_s, rows)

    def repair_all(self) -> None:
        """End every outage now."""
        for _, server, kind in self._repairs:
            self._repair(server, kind)
        self._repairs.clear()

    def _repair(self, server: RtspServer, kind: FaultKind) -> None:
        if kind == "server killed":
            server.launch()
        else:
            server.thaw()

    def _break(self, now_s: float, rows: Sequence[CounterRow]) -> None:
        if not self._deck:
            self._deck = self._rng.sample(_KINDS, len(_KINDS))
        kind = self._deck.pop()
        if kind in ("worker killed", "matcher killed"):
            self._kill(kind, now_s, rows)
            return
        broken = [server for _, server, _ in self._repairs]
        whole = [name for name, server in self._servers.items() if server not in broken]
        if not whole:
            return
        name = self._rng.choice(whole)
        server = self._servers[name]
        lasts_s = self._rng.uniform(*(_SERVER_AWAY_S if kind == "server killed" else _FROZEN_S))
        if kind == "server killed":
            server.kill()
        else:
            server.freeze()
        self._repairs.append((now_s + lasts_s, server, kind))
        self.done.append(Fault(kind, name, now_s, lasts_s))

    def _kill(self, kind: FaultKind, now_s: float, rows: Sequence[CounterRow]) -> None:
        role = "matcher" if kind == "matcher killed" else "camera"
        alive = [row for row in rows if row.role == role and not row.closed]
        if not alive:  # it is just starting: the same as soon as there is somebody
            self._deck.append(kind)
            self._next_s = now_s
            return
        victim = self._rng.choice(alive)
        os.kill(victim.pid, signal.SIGKILL)
        self.done.append(Fault(kind, victim.name, now_s))
