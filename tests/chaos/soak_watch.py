"""Watches a running system from outside: memory, processor time, WAL, latency, blind moments."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamreid.runtime.counter_rows import CounterRow
from streamreid.runtime.latency import latency_buckets, latency_quantiles

BLIND_AFTER_S = 1.5
"""Capture times further apart than this: the camera saw nothing in between."""

_SHORTEST_SLOPE_S = 300.0
"""Memory of a process that lived for less than twice this is what it loads, not what it leaks."""


@dataclass
class Watcher:
    """What was seen of a run.

    Attributes:
        blind: Per camera, from when to when no frame was looked at, epoch seconds.
        rss: Per process (name, pid), seconds of age and MiB.
        wal_bytes: Largest write-ahead log.
        cpu_s: Processor time per process id.
    """

    store: Path
    blind: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    rss: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)
    wal_bytes: int = 0
    cpu_s: dict[int, float] = field(default_factory=dict)
    _seen_s: dict[str, float] = field(default_factory=dict)
    _buckets: dict[int, list[float]] = field(default_factory=dict)
    _first_half: dict[int, list[float]] = field(default_factory=dict)

    def begin(self, cameras: Iterable[str], now_s: float) -> None:
        """Nothing has been seen before this moment."""
        self._seen_s = dict.fromkeys(cameras, now_s)
        self.blind = {name: [] for name in self._seen_s}

    def look(self, rows: Sequence[CounterRow]) -> None:
        """Look at all processes once; several times a second."""
        for row in rows:
            if row.role == "camera":
                self._see(row.name, row.values["last_capture_at_s"])
            else:
                self._buckets[row.incarnation] = latency_buckets([row])
            if not row.closed:
                self.measure(row.name, row.pid)
        wal = self.store.with_name(self.store.name + "-wal")
        if wal.exists():
            self.wal_bytes = max(self.wal_bytes, wal.stat().st_size)

    def measure(self, name: str, pid: int) -> None:
        """Note memory and processor time of one process."""
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            return
        self.cpu_s[pid] = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        mib = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        self.rss.setdefault((name, pid), []).append((time.monotonic(), mib))

    def half_time(self) -> None:
        """Latency from here on counts for the second half."""
        self._first_half = dict(self._buckets)

    def finish(self, now_s: float) -> None:
        """What was not seen until now was not seen."""
        for name in self.blind:
            self._see(name, now_s)

    def latency_s(self) -> dict[str, dict[str, float | None]]:
        """Crop-to-row p50, p95 and p99 of either half, seconds."""
        first = np.sum([*self._first_half.values()], axis=0)
        total = np.sum([*self._buckets.values()], axis=0)
        return {
            half: {name: None if s is None else round(s, 2) for name, s in quantiles.items()}
            for half, quantiles in (
                ("first half", latency_quantiles(first.tolist())),
                ("second half", latency_quantiles((total - first).tolist())),
            )
        }

    def memory(self) -> dict[str, dict[str, float]]:
        """Per process name: its largest size and its steepest slope.

        The slope is that of the last half of each process' life; a process that lived for less than
        ten minutes has none, because the gallery of a matcher has to fill first.
        """
        found: dict[str, dict[str, float]] = {}
        for (name, _), samples in self.rss.items():
            at_s, mib = np.array(samples).T
            entry = found.setdefault(name, {"max MiB": 0.0})
            entry["max MiB"] = round(max(entry["max MiB"], float(mib.max())), 1)
            late = at_s - at_s[0] >= (at_s[-1] - at_s[0]) / 2
            if np.ptp(at_s[late]) >= _SHORTEST_SLOPE_S:
                slope = float(np.polyfit(at_s[late] / 60.0, mib[late], 1)[0])
                entry["MiB/min"] = round(max(entry.get("MiB/min", slope), slope), 3)
        return found

    def _see(self, name: str, captured_at_s: float) -> None:
        before_s = self._seen_s.get(name)
        if before_s is None or captured_at_s <= before_s:
            return
        if captured_at_s - before_s > BLIND_AFTER_S:
            self.blind[name].append((before_s, captured_at_s))
        self._seen_s[name] = captured_at_s
