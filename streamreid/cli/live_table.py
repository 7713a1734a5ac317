"""The live view of a run: a table on a terminal, a plain line every few seconds elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table

from streamreid.runtime.counter_rows import Counts
from streamreid.runtime.counter_table import SOURCE_STATES
from streamreid.runtime.status import RunStatus, WorkerStatus

_RATES = ("frames_decoded", "frames_detected", "frames_skipped")


@dataclass(frozen=True, slots=True)
class CameraLine:
    """What is shown of one camera.

    Attributes:
        name: Camera id.
        state: State of the worker, or of the source while the worker runs.
        decoded_fps: Frames decoded a second since the last look.
        detected_fps: Frames given to the detector a second.
        skipped_fps: Frames left out a second because a newer one was there.
        people: People in the picture now.
        crops_stored: Crops committed so far.
        crops_dropped: Crops lost so far, for whatever reason.
    """

    name: str
    state: str
    decoded_fps: float
    detected_fps: float
    skipped_fps: float
    people: int
    crops_stored: int
    crops_dropped: int


class LiveView:
    """Turns successive statuses into rates."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, ...]] = {}
        self._at_s: float | None = None

    def lines(self, status: RunStatus, now_s: float) -> list[CameraLine]:
        """One line per camera.

        Args:
            status: The run now.
            now_s: Monotonic seconds.
        """
        elapsed_s = now_s - self._at_s if self._at_s is not None else 0.0
        self._at_s = now_s
        return list(self._lines(status, elapsed_s))

    def _lines(self, status: RunStatus, elapsed_s: float) -> Iterator[CameraLine]:
        for worker in status.workers:
            if worker.role != "camera":
                continue
            totals = tuple(status.counter("camera", worker.name, rate) for rate in _RATES)
            before = self._before.get(worker.name, totals)
            self._before[worker.name] = totals
            rates = [
                (now - old) / elapsed_s if elapsed_s > 0 else 0.0
                for now, old in zip(totals, before, strict=True)
            ]
            row = status.latest("camera", worker.name)
            crops = status.books(worker.name)["crop"]
            yield CameraLine(
                name=worker.name,
                state=_state(status, worker),
                decoded_fps=rates[0],
                detected_fps=rates[1],
                skipped_fps=rates[2],
                people=int(row.values["people_now"]) if row is not None else 0,
                crops_stored=crops.stored,
                crops_dropped=crops.dropped_total,
            )


def draw(lines: list[CameraLine], status: RunStatus) -> Table:
    """The table of a terminal."""
    table = Table(title=_title(status), title_justify="left")
    table.add_column("camera")
    table.add_column("state")
    for column in ("decoded/s", "detected/s", "skipped/s", "people", "crops", "dropped"):
        table.add_column(column, justify="right")
    for line in lines:
        table.add_row(
            line.name,
            line.state,
            f"{line.decoded_fps:.1f}",
            f"{line.detected_fps:.1f}",
            f"{line.skipped_fps:.1f}",
            str(line.people),
            str(line.crops_stored),
            str(line.crops_dropped),
        )
    return table


def plain(lines: list[CameraLine], status: RunStatus) -> str:
    """One line of text."""
    cameras = "; ".join(
        f"{line.name} {line.state} {line.decoded_fps:.0f}/{line.detected_fps:.0f} fps, "
        f"{line.people} people, {line.crops_stored} crops, {line.crops_dropped} dropped"
        for line in lines
    )
    return f"{_title(status)} | {cameras}"


def summary(status: RunStatus) -> str:
    """What was counted over the run: a line per camera and kind, and whether it adds up."""
    lines = []
    for worker in status.workers:
        if worker.role != "camera":
            continue
        for kind, counts in status.books(worker.name).items():
            lines.append(f"{worker.name} {kind}: {_equation(counts)}")
    lines.append(notices(status))
    return "\n".join(lines)


def notices(status: RunStatus) -> str:
    """What the decisions say about themselves: violations over the run, clock warnings now."""
    matcher = status.latest("matcher", "matcher")
    warnings = int(matcher.values["clock_warnings"]) if matcher is not None else 0
    text = f"in two places at once {int(status.counter('matcher', 'matcher', 'in_two_places'))}"
    if warnings:
        text += f", clock warnings {warnings} (see streamreid status)"
    return text


def _equation(counts: Counts) -> str:
    dropped = ", ".join(f"{reason} {count}" for reason, count in counts.dropped.items() if count)
    balance = "adds up" if counts.remainder == counts.depth else "DOES NOT ADD UP"
    return (
        f"produced {counts.produced} = stored {counts.stored} + dropped {counts.dropped_total}"
        f"{f' ({dropped})' if dropped else ''} + in flight {counts.depth}: {balance}"
    )


def _title(status: RunStatus) -> str:
    matcher = status.latest("matcher", "matcher")
    if matcher is None or not matcher.values["ready"]:
        return "starting"
    values = matcher.values
    return (
        f"identities {int(values['identities_now'])}, "
        f"gallery {int(values['gallery_crops'])} crops, "
        f"undecided tracks {int(values['undecided_tracks'])}, "
        f"{notices(status)}"
    )


def _state(status: RunStatus, worker: WorkerStatus) -> str:
    if worker.state != "running":
        return worker.state
    row = status.current(worker)
    return SOURCE_STATES[int(row.values["source_state"])] if row is not None else "starting"
