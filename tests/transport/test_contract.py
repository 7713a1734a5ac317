"""What every transport promises: the same tests run on ZeroMQ and inside one process."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamreid.messages import (
    KINDS,
    Bye,
    CropMessage,
    DetectionsMessage,
    Hello,
    Kind,
    Progress,
    TrackMessage,
)
from streamreid.transport.sender import Sender
from streamreid.types import CameraId
from tests.builders import CAMERA, make_crop, make_detections, make_track
from tests.fakes import ManualClock
from tests.transport.network import Matcher, Network, inproc_network, zeromq_network

Store = set[tuple[str, int, Kind, int]]


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    if request.param == "inproc":
        made = inproc_network(tmp_path, ManualClock())
    elif request.param == "ipc":
        (tmp_path / "s").mkdir(mode=0o700)
        made = zeromq_network(tmp_path, f"ipc://{tmp_path}/s/m")
    else:
        made = zeromq_network(tmp_path, f"tcp://127.0.0.1:{free_port()}")
    yield made
    made.close()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def send_some(sender: Sender, count: int, start: int = 0) -> None:
    for index in range(start, start + count):
        assert sender.send_crop(make_crop(captured_at_s=10.0 + index))


class TestTransport:
    """The contract."""

    def test_all_kinds_arrive_and_are_booked(self, network: Network) -> None:
        store: Store = set()
        matcher = Matcher(network, store)
        sender = network.sender()
        rows = make_detections()
        sender.send_crop(make_crop())
        sender.send_detections(
            captured_at_s=rows.captured_at_s,
            track_id=rows.track_id,
            track_started_at_s=rows.track_started_at_s,
            boxes_xyxy=rows.boxes_xyxy,
            confidence=rows.confidence,
        )
        sender.send_track(make_track())
        sender.progress(13.0)
        network.until(
            lambda: sender.pending == 0 and bool(matcher.messages(Progress)),
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        kinds = [type(one.message) for one in matcher.heard]
        assert kinds == [Hello, CropMessage, DetectionsMessage, TrackMessage, Progress]
        assert {(one.camera_id, one.incarnation) for one in matcher.heard} == {(CAMERA, 7)}
        for kind in KINDS:
            assert (network.books(kind).produced, network.books(kind).stored) == (1, 1)

    def test_a_worker_may_come_before_the_matcher(self, network: Network) -> None:
        sender = network.sender()
        send_some(sender, 3)
        sender.pump(network.turn_s)
        assert not sender.connected
        matcher = Matcher(network, set())
        network.until(
            lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn
        )
        assert [one.seq for one in matcher.messages(CropMessage)] == [0, 1, 2]

    def test_no_more_than_the_window_is_under_way(self, network: Network) -> None:
        matcher = Matcher(network, set(), window=4)
        matcher.acknowledging = False
        sender = network.sender()
        network.connect(sender, matcher)
        send_some(sender, 10)
        network.until(
            lambda: len(matcher.messages(CropMessage)) >= 4,
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        for _ in range(5):
            sender.pump(network.turn_s)
            matcher.turn()
        assert len(matcher.messages(CropMessage)) == 4
        assert (network.books().in_flight, network.books().outbox) == (4, 6)
        matcher.speak()
        network.until(
            lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn
        )
        assert [one.seq for one in matcher.messages(CropMessage)] == list(range(10))

    def test_one_slow_kind_does_not_hold_up_another(self, network: Network) -> None:
        matcher = Matcher(network, set(), window=2)
        matcher.acknowledging = False
        sender = network.sender()
        network.connect(sender, matcher)
        send_some(sender, 5)
        rows = make_detections()
        sender.send_detections(
            captured_at_s=rows.captured_at_s,
            track_id=rows.track_id,
            track_started_at_s=rows.track_started_at_s,
            boxes_xyxy=rows.boxes_xyxy,
            confidence=rows.confidence,
        )
        network.until(
            lambda: bool(matcher.messages(DetectionsMessage)),
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        assert len(matcher.messages(CropMessage)) == 2

    def test_the_end_of_a_track_never_overtakes_its_crops(self, network: Network) -> None:
        matcher = Matcher(network, set(), window=2)
        matcher.acknowledging = False
        sender = network.sender()
        network.connect(sender, matcher)
        send_some(sender, 3)
        sender.send_track(make_track())
        sender.progress(20.0)
        network.until(
            lambda: len(matcher.messages(CropMessage)) == 2,
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        assert not matcher.messages(TrackMessage, Progress)
        matcher.speak()
        network.until(
            lambda: bool(matcher.messages(Progress)),
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        order = [type(one.message) for one in matcher.heard]
        assert order == [Hello, CropMessage, CropMessage, CropMessage, TrackMessage, Progress]

    def test_a_new_matcher_gets_what_the_old_one_did_not_commit(self, network: Network) -> None:
        store: Store = set()
        first = Matcher(network, store, epoch=1)
        sender = network.sender()
        network.connect(sender, first)
        send_some(sender, 3)
        network.until(lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), first.turn)
        first.acknowledging = False
        send_some(sender, 3, start=3)
        network.until(
            lambda: len(first.messages(CropMessage)) == 6,
            lambda: sender.pump(network.turn_s),
            first.turn,
        )
        # it commits one more, and dies before it can say so
        store.add((CAMERA, 7, "crop", 3))
        first.receiver.close()
        second = Matcher(network, store, epoch=2)
        network.until(lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), second.turn)
        assert sender.epoch == 2
        assert {seq for _, _, kind, seq in store if kind == "crop"} == set(range(6))
        assert [one.seq for one in second.messages(CropMessage)] == [3, 4, 5]
        counts = network.books()
        assert (counts.produced, counts.stored, counts.depth) == (6, 6, 0)

    def test_an_absent_matcher_costs_a_live_camera_its_oldest(self, network: Network) -> None:
        sender = network.sender(outbox=5)
        send_some(sender, 12)
        counts = network.books()
        assert (counts.outbox, counts.dropped["queue_full"]) == (5, 7)
        matcher = Matcher(network, set())
        network.until(
            lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn
        )
        assert [one.seq for one in matcher.messages(CropMessage)] == [7, 8, 9, 10, 11]

    def test_a_file_waits_for_room_until_asked_to_stop(self, network: Network) -> None:
        turns = 0

        def stop() -> bool:
            nonlocal turns
            turns += 1
            return turns > 3

        sender = network.sender(live=False, outbox=2, stop=stop)
        send_some(sender, 2)
        assert turns == 0
        assert not sender.send_crop(make_crop())
        assert turns == 4
        counts = network.books()
        assert (counts.produced, counts.outbox, counts.dropped["shutdown"]) == (3, 2, 1)

    @pytest.mark.parametrize("disposition", ["stale", "rejected", "disk_full"])
    def test_what_the_matcher_refuses_is_booked_under_its_reason(
        self, network: Network, disposition: str
    ) -> None:
        matcher = Matcher(network, set(), disposition=disposition)  # type: ignore[arg-type]
        sender = network.sender()
        send_some(sender, 3)
        network.until(
            lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn
        )
        counts = network.books()
        assert (counts.stored, counts.dropped[disposition]) == (0, 3)

    def test_what_exceeds_a_limit_is_booked_as_rejected_at_once(self, network: Network) -> None:
        sender = network.sender()
        assert not sender.send_crop(make_crop(height=700, width=700))
        counts = network.books()
        assert (counts.produced, counts.dropped["rejected"], counts.depth) == (1, 1, 0)

    def test_an_unknown_worker_is_asked_who_it_is(self, network: Network) -> None:
        """A matcher that forgot a worker, without the connection being noticed."""
        matcher = Matcher(network, set())
        sender = network.sender()
        network.connect(sender, matcher)
        matcher.receiver._peers.clear()
        send_some(sender, 2)
        network.until(
            lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn
        )
        assert len(matcher.messages(Hello)) == 2
        assert network.books().stored == 2

    def test_a_camera_that_is_not_configured_is_not_welcomed(self, network: Network) -> None:
        matcher = Matcher(network, set(), knows=lambda camera_id: camera_id != "stranger")
        stranger = network.sender(camera_id=CameraId("stranger"), incarnation=8)
        friend = network.sender()
        network.until(
            lambda: friend.connected and bool(network.rejected),
            lambda: stranger.pump(network.turn_s),
            lambda: friend.pump(network.turn_s),
            matcher.turn,
        )
        assert not stranger.connected
        assert "not in the configuration" in str(network.rejected[0])

    def test_goodbye_closes_the_books(self, network: Network) -> None:
        matcher = Matcher(network, set())
        matcher.acknowledging = False
        sender = network.sender()
        network.connect(sender, matcher)
        send_some(sender, 3)
        sender.pump(network.turn_s)
        assert not sender.drain(3 * network.turn_s)
        sender.bye("stop", timeout_s=2 * network.turn_s)
        network.until(lambda: bool(matcher.messages(Bye)), matcher.turn)
        assert matcher.messages(Bye) == [Bye("stop", (3, 0, 0))]
        counts = network.books()
        assert (counts.dropped["shutdown"], counts.depth, counts.remainder) == (3, 0, 0)

    def test_a_described_camera_says_hello_again_and_resends_nothing(
        self, network: Network
    ) -> None:
        matcher = Matcher(network, set())
        matcher.acknowledging = False
        sender = network.sender()
        network.connect(sender, matcher)
        send_some(sender, 2)
        sender.describe(width=1920, height=1080, time_source="rtcp")
        network.until(
            lambda: len(matcher.messages(Hello)) == 2,
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        for _ in range(5):
            sender.pump(network.turn_s)
            matcher.turn()
        assert matcher.messages(Hello)[-1].width == 1920
        assert len(matcher.messages(CropMessage)) == 2

    def test_progress_never_floods_a_busy_matcher(self, network: Network) -> None:
        """Uncounted messages are bounded too: the connection survives a matcher that computes."""
        matcher = Matcher(network, set())
        sender = network.sender(live=False)
        network.connect(sender, matcher)
        for index in range(1000):
            sender.progress(float(index))
            if index % 20 == 0:
                sender.send_crop(make_crop(captured_at_s=10.0 + index))
            sender.pump(0.0)
        assert not matcher.messages(Progress)
        matcher.turn()
        assert 0 < len(matcher.messages(Progress)) <= 64
        network.until(lambda: sender.drain(0.0), lambda: sender.pump(network.turn_s), matcher.turn)
        times = [one.captured_at_s for one in matcher.messages(Progress)]
        assert times == sorted(times)
        assert times[-1] == 999.0
        assert network.value("welcomes", role="camera") == 1
        assert network.books().stored == 50
        order = [one.message for one in matcher.heard if not isinstance(one.message, Hello)]
        for crop, after in itertools.pairwise(order):
            if isinstance(crop, CropMessage) and isinstance(after, Progress):
                assert after.captured_at_s >= crop.crop.captured_at_s - 10.0

    @pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
    def test_a_broken_connection_repeats_and_reorders_nothing(
        self, network: Network, live: bool
    ) -> None:
        """The same matcher goes on: every message is given once and in order."""
        matcher = Matcher(network, set())
        matcher.acknowledging = False
        sender = network.sender(live=live)
        network.connect(sender, matcher)
        for index in range(8):
            sender.send_crop(make_crop(captured_at_s=10.0 + index))
            sender.progress(10.0 + index)
        network.until(
            lambda: len(matcher.messages(CropMessage)) >= 3,
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        network.break_connection(sender)
        network.until(
            lambda: network.value("welcomes", role="camera") >= 2,
            lambda: sender.pump(network.turn_s),
            matcher.turn,
        )
        matcher.speak()
        network.until(lambda: sender.drain(0.0), lambda: sender.pump(network.turn_s), matcher.turn)
        assert [one.seq for one in matcher.messages(CropMessage)] == list(range(8))
        counts = network.books()
        assert (counts.produced, counts.stored, counts.depth) == (8, 8, 0)
        assert network.rejected == []

    def test_a_new_matcher_hears_the_progress_between_the_messages_it_gets(
        self, network: Network
    ) -> None:
        """A replay orders by them: it must not depend on when a matcher died."""
        first = Matcher(network, set(), epoch=1)
        first.acknowledging = False
        sender = network.sender(live=False)
        network.connect(sender, first)
        for index in range(4):
            sender.progress(10.0 + index)
            sender.send_crop(make_crop(captured_at_s=8.0 + index))
        network.until(
            lambda: len(first.messages(CropMessage)) == 4,
            lambda: sender.pump(network.turn_s),
            first.turn,
        )
        first.receiver.ack(CAMERA, 7, "crop", [(0, "stored"), (1, "stored")])
        network.until(lambda: sender.pending == 2, lambda: sender.pump(network.turn_s), first.turn)
        first.receiver.close()
        second = Matcher(network, set(), epoch=2)
        network.until(lambda: sender.drain(0.0), lambda: sender.pump(network.turn_s), second.turn)
        content = [
            one.message.captured_at_s if isinstance(one.message, Progress) else one.message.seq
            for one in second.heard
            if isinstance(one.message, Progress | CropMessage)
        ]
        assert content[-4:] == [12.0, 2, 13.0, 3]
