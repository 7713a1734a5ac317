"""Where a camera worker begins: a live camera now, a file so that a crash before costs nothing.

A file's messages follow from the file alone. So a worker that takes the place of a crashed one
reads the file again under the same number, makes the same messages with the same numbers, and the
store keeps each of them once. Only behind a frame that has killed its reader twice does a worker
with a number of its own begin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamreid.clock import Clock
from streamreid.runtime.counter_rows import CounterRow, read_counters
from streamreid.runtime.counter_table import SOURCE_STATES, GaugeName
from streamreid.runtime.process import new_incarnation
from streamreid.types import CameraId

_NOWHERE_S = float("-inf")


@dataclass(frozen=True, slots=True)
class Start:
    """How a worker begins.

    Attributes:
        incarnation: Its number: that of the crashed worker whose messages it makes again.
        after_s: Frames up to this capture time are passed over, epoch seconds.
        reached_s: How far the workers before it had come; minus infinity when there were none.
    """

    incarnation: int
    after_s: float = _NOWHERE_S
    reached_s: float = _NOWHERE_S

    @property
    def gauges(self) -> Mapping[GaugeName, float]:
        """What a successor has to know."""
        return {"passed_to_s": self.after_s, "reached_before_s": self.reached_s}


def start_of(run_dir: Path, camera_id: CameraId, *, live: bool, clock: Clock) -> Start:
    """Decide how a worker begins.

    Args:
        run_dir: Private folder of the run.
        camera_id: The camera.
        live: True for a live camera, which cannot be read again.
        clock: For a new number.
    """
    before = None if live else _newest(run_dir, camera_id)
    if before is None or not has_crashed(before):
        return Start(new_incarnation(clock))
    values = before.values
    reached_s = values["last_capture_at_s"] if values["last_frame_at_s"] else _NOWHERE_S
    if reached_s == values["reached_before_s"] > _NOWHERE_S:
        return Start(new_incarnation(clock), after_s=reached_s)
    furthest_s = max(reached_s, values["reached_before_s"])
    return Start(before.incarnation, values["passed_to_s"], furthest_s)


def has_crashed(row: CounterRow) -> bool:
    """Whether a process ended without having come to its end."""
    return row.closed and row.values["source_state"] == SOURCE_STATES.index("starting")


def _newest(run_dir: Path, camera_id: CameraId) -> CounterRow | None:
    rows = [row for row in read_counters(run_dir) if (row.role, row.name) == ("camera", camera_id)]
    return rows[-1] if rows else None
