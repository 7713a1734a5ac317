"""Overload of one camera: what it gives up, in which order, and that all of it is counted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from streamreid.messages import CropMessage, DetectionsMessage, Kind, TrackMessage
from streamreid.runtime.camera_loop import run_camera
from streamreid.runtime.camera_pipeline import CameraPipeline, Looked
from streamreid.runtime.counter_rows import read_counters
from streamreid.runtime.counter_table import CounterName
from streamreid.runtime.counters import ProcessCounters, create_counters
from streamreid.transport.inproc import Switchboard, open_receiver, open_sender
from streamreid.transport.sender import Sender
from streamreid.types import Frame, TrackedDetections, TrackId, TrackSummary
from streamreid.video.source import FrameSource, SourceInfo, SourceState, SourceStatus
from tests.builders import CAMERA, make_crop, make_hello
from tests.fakes import ManualClock
from tests.video.clips import flat_frame

KIND_OF: dict[type, Kind] = {
    CropMessage: "crop",
    DetectionsMessage: "detections",
    TrackMessage: "track",
}
OUTBOX = 40
FRAMES = 800
GIVEN_UP: tuple[CounterName, ...] = ("frames_rationed", "crops_withheld", "tracks_withheld")


class _Crowd:
    """A pipeline that sees three people in every frame, each a new person after ten frames."""

    def __init__(self) -> None:
        self.crops = self.looks = 0
        self.open_tracks = 3

    def due(self, frame: Frame) -> bool:
        del frame
        return True

    def look(self, frame: Frame) -> Looked:
        number, left = divmod(self.looks, 10)
        tracks = [3 * number + person for person in range(3)]
        self.looks += 1
        self.crops += 3
        at_s = frame.captured_at_s
        ended = [TrackSummary(CAMERA, TrackId(t), at_s, at_s, 10, "left") for t in tracks]
        boxes = np.tile(np.array([0, 0, 8, 16], np.float32), (3, 1))
        return Looked(
            detected=True,
            detections=3,
            tracked=TrackedDetections(np.array(tracks), boxes, np.full(3, 0.9, np.float32)),
            crops=tuple(make_crop(track_id=track, captured_at_s=at_s) for track in tracks),
            ended=tuple(ended) if left == 9 else (),
        )

    def finish(self) -> Looked:
        nobody = TrackedDetections(
            np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        )
        return Looked(False, 0, nobody, (), ())


class _Source:
    """A live camera of ten frames a second; `every_turn` is called before each."""

    def __init__(self, every_turn: Callable[[int], None]) -> None:
        self.info = SourceInfo("rtsp://door", True, 64, 48, 10.0, "arrival", "")
        self.given = 0
        self._every_turn = every_turn

    def read(self, timeout_s: float) -> Frame | None:
        del timeout_s
        self._every_turn(self.given)
        if self.given == FRAMES:
            return None
        self.given += 1
        return flat_frame(index=self.given, captured_at_s=self.given / 10)

    def status(self) -> SourceStatus:
        state: SourceState = "ended" if self.given == FRAMES else "live"
        return SourceStatus(state=state, frames=self.given)

    def __iter__(self) -> Iterator[Frame]:
        return iter(())

    def close(self) -> None:
        pass


class _Site:
    """One camera worker whose matcher may be away."""

    def __init__(self, run_dir: Path) -> None:
        self.clock = ManualClock()
        self.board = Switchboard()
        self.counters: ProcessCounters = create_counters(
            run_dir, "camera", CAMERA, 7, clock=self.clock
        )
        self.sender: Sender = open_sender(
            self.board, make_hello(), clock=self.clock, counters=self.counters, outbox=OUTBOX
        )
        self.crowd = _Crowd()

    def run(self, every_turn: Callable[[int], None]) -> _Source:
        source = _Source(every_turn)
        run_camera(
            cast(FrameSource, source),
            cast(CameraPipeline, self.crowd),
            self.sender,
            self.counters,
            clock=self.clock,
            stop=lambda: False,
        )
        self.sender.close()
        self.counters.mark_closed()
        return source


@pytest.fixture
def site(tmp_path: Path) -> Iterator[_Site]:
    made = _Site(tmp_path)
    yield made
    made.counters.close()


def test_everything_is_given_up_in_order_and_counted(site: _Site, tmp_path: Path) -> None:
    """Without a matcher: first frames, then crops, then tracks; queues end at their bounds."""
    began: dict[str, int] = {}
    levels: list[float] = []

    def look(frame: int) -> None:
        levels.append(site.counters.value("pressure_level"))
        for name in GIVEN_UP:
            if site.counters.value(name):
                began.setdefault(name, frame)
        assert site.sender.pending <= 3 * OUTBOX

    source = site.run(look)
    assert list(began) == list(GIVEN_UP)
    assert levels == sorted(levels)
    assert levels[-1] == 3
    (row,) = read_counters(tmp_path)
    values, crops = row.values, row.books["crop"]
    assert values["frames_rationed"] + values["frames_detected"] == source.given
    assert values["frames_detected"] == site.crowd.looks
    assert crops.produced + values["crops_withheld"] == site.crowd.crops
    assert 0 < values["tracks_withheld"] < row.books["track"].produced
    for counts in row.books.values():
        assert counts.produced == counts.dropped_total == sum(counts.dropped.values())
        assert set(name for name, n in counts.dropped.items() if n) <= {"queue_full", "shutdown"}
        assert counts.dropped["shutdown"] <= OUTBOX


def test_a_matcher_that_comes_back_ends_it(site: _Site, tmp_path: Path) -> None:
    receiver = open_receiver(
        site.board,
        clock=site.clock,
        epoch=1,
        counters=create_counters(tmp_path / "m", "matcher", "matcher", 1, clock=site.clock),
    )
    levels: list[float] = []

    def serve(frame: int) -> None:
        levels.append(site.counters.value("pressure_level"))
        if frame < FRAMES // 4:
            return  # it hangs
        for one in receiver.poll(0.0):
            if isinstance(one.message, CropMessage | DetectionsMessage | TrackMessage):
                kind = KIND_OF[type(one.message)]
                receiver.ack(one.camera_id, one.incarnation, kind, [(one.message.seq, "stored")])

    site.run(serve)
    assert max(levels) == 3
    assert set(levels[FRAMES // 2 :]) == {0}
    row = next(row for row in read_counters(tmp_path))
    assert all(counts.remainder == counts.depth == 0 for counts in row.books.values())
    assert row.books["crop"].stored > row.books["crop"].dropped_total
