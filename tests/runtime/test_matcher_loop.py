"""The loop puts crops of all cameras into one batch, and waits only so long for one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamreid.engine.engine import Engine
from streamreid.engine.settings import EngineSettings
from streamreid.gallery.local import LocalScorer
from streamreid.runtime.counters import ProcessCounters, create_counters
from streamreid.runtime.intake import Intake
from streamreid.runtime.matcher_chores import Chores
from streamreid.runtime.matcher_loop import MatcherLoop, MatcherOptions
from streamreid.runtime.merge import ArrivalOrder
from streamreid.runtime.stream_books import StreamBooks
from streamreid.store import Housekeeper, HousekeepingRules, RunInfo, open_store
from streamreid.transport.inproc import Switchboard, open_receiver, open_sender
from streamreid.transport.sender import Sender
from streamreid.types import CameraId
from tests.builders import make_crop, make_hello
from tests.fakes import ManualClock
from tests.gallery.builders import make_scorer

CAMERAS = [CameraId("door"), CameraId("hall"), CameraId("lift")]


@dataclass
class Bench:
    """A matcher loop with a camera worker for each camera, all in one thread."""

    loop: MatcherLoop
    scorer: LocalScorer
    senders: list[Sender]
    counters: ProcessCounters
    clock: ManualClock

    def greet(self) -> None:
        """Turn until every worker has been welcomed."""
        for _ in range(3):
            for sender in self.senders:
                sender.pump()
            self.loop.turn()
        assert all(sender.connected for sender in self.senders)

    def send(self, crops_each: int) -> None:
        for sender, camera_id in zip(self.senders, CAMERAS, strict=True):
            for number in range(crops_each):
                at_s = self.clock.now_s() + number / 100
                crop = make_crop(camera_id=camera_id, track_id=1 + number % 2, captured_at_s=at_s)
                assert sender.send_crop(crop)
            sender.pump()


@contextmanager
def bench(run_dir: Path, batch_size: int) -> Iterator[Bench]:
    clock = ManualClock()
    board = Switchboard()
    scorer = make_scorer(capacity=200)
    with ExitStack() as stack:
        counters = stack.enter_context(
            create_counters(run_dir, "matcher", "matcher", 1, clock=clock)
        )
        writer = stack.enter_context(open_store(run_dir / "s.sqlite", run=RunInfo(), clock=clock))
        receiver = open_receiver(board, clock=clock, epoch=1, counters=counters)
        stack.callback(receiver.close)
        senders = []
        for number, camera_id in enumerate(CAMERAS):
            books = stack.enter_context(
                create_counters(run_dir, "camera", camera_id, 1, clock=clock)
            )
            hello = make_hello(camera_id=camera_id, incarnation=number + 1)
            sender = open_sender(board, hello, clock=clock, counters=books)
            stack.callback(sender.close)
            senders.append(sender)
        rules = HousekeepingRules(max_age_s=1e9, min_free_bytes=0, reserve_bytes=0)
        chores = Chores(
            housekeeper=Housekeeper(writer, clock=clock, rules=rules),
            books=StreamBooks(run_dir, writer),
            control=None,
            scorer=scorer,
            counters=counters,
            clock=clock,
        )
        stack.callback(chores.close)
        loop = MatcherLoop(
            receiver=receiver,
            merger=ArrivalOrder(),
            intake=Intake(
                writer,
                urls={camera_id: "rtsp://somewhere" for camera_id in CAMERAS},
                weights_digest="w",
                keep_crops=True,
            ),
            scorer=scorer,
            engine=Engine(scorer, settings=EngineSettings()),
            writer=writer,
            chores=chores,
            counters=counters,
            clock=clock,
            cameras=CAMERAS,
            options=MatcherOptions(replay=False, batch_size=batch_size),
        )
        yield Bench(loop, scorer, senders, counters, clock)


@pytest.mark.parametrize(("batch_size", "batches"), [(16, 1), (6, 2), (1, 12)])
def test_crops_of_all_cameras_share_batches(tmp_path: Path, batch_size: int, batches: int) -> None:
    with bench(tmp_path, batch_size) as matcher:
        matcher.greet()
        matcher.send(crops_each=4)
        for _ in range(20):
            matcher.loop.turn()
        assert matcher.counters.value("crops_embedded") == 12
        assert matcher.counters.value("batches") == batches
        assert len(matcher.scorer) == 12


def test_a_silent_camera_delays_the_others_by_the_batch_wait_only(tmp_path: Path) -> None:
    with bench(tmp_path, 16) as matcher:
        matcher.greet()
        matcher.senders.pop().close()
        before_s = matcher.clock.now_s()
        for sender, camera_id in zip(matcher.senders, CAMERAS, strict=False):
            assert sender.send_crop(make_crop(camera_id=camera_id, captured_at_s=before_s))
            sender.pump()
        matcher.loop.turn()
        assert matcher.counters.value("crops_embedded") == 2
        assert matcher.clock.now_s() - before_s <= 0.02 + 1e-6
