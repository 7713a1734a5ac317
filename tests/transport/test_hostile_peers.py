"""The matcher survives whatever connects to it: S1, the full numbers marked slow."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from streamreid.messages import CropMessage, encode
from streamreid.transport.flood import FloodGuard
from streamreid.transport.receiver import Received
from streamreid.types import CameraId
from tests.builders import make_crop, make_detections, make_hello, make_track
from tests.transport import hostile
from tests.transport.network import Matcher, Network, zeromq_network

TINY = 3


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    made = zeromq_network(tmp_path, endpoint)
    yield made
    made.close()


def assert_still_serves(network: Network, matcher: Matcher) -> None:
    """A sound worker connects and is served."""
    sender = network.sender(camera_id=CameraId("sound"), incarnation=99)
    for index in range(3):
        sender.send_crop(make_crop(camera_id=CameraId("sound"), captured_at_s=10.0 + index))
    network.until(lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn)
    assert network.books(name="sound").stored == 3
    sender.close()


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_garbage_on_the_port_changes_nothing(network: Network, count: int) -> None:
    matcher = Matcher(network, set())
    rng = random.Random(5)
    channels = []
    for number in range(count):
        channel = hostile.connect(network.endpoint)
        channel.sendall(hostile.garbage(rng))
        channels.append(channel)
        if number % 20 == 0:
            matcher.turn()
            while len(channels) > 200:
                channels.pop(0).close()
    assert_still_serves(network, matcher)
    for channel in channels:
        channel.close()
    assert all(one.camera_id == "sound" for one in matcher.heard)


def mutated(rng: random.Random) -> list[bytes]:
    """A sound message, spoilt."""
    sound = rng.choice(
        [
            encode(CropMessage(3, make_crop())),
            encode(make_detections()),
            encode(make_hello(camera_id=CameraId("evil"))),
        ]
    )
    parts = [bytearray(part) for part in sound]
    for _ in range(rng.randrange(1, 6)):
        target = rng.choice(parts)
        target[rng.randrange(len(target))] = rng.randrange(256)
    if rng.random() < 0.3:
        parts += [bytearray(rng.randbytes(rng.randrange(2000))) for _ in range(rng.randrange(1, 6))]
    if rng.random() < 0.2:
        del parts[0][rng.randrange(len(parts[0])) :]
    return [bytes(part) for part in parts]


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_spoilt_messages_are_counted_and_refused(network: Network, count: int) -> None:
    matcher = Matcher(network, set())
    rng = random.Random(6)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    evil = context.socket(zmq.DEALER)
    evil.setsockopt(zmq.LINGER, 0)
    evil.setsockopt(zmq.ROUTING_ID, rng.choice([b"evil.7", b"evil.8", b"\xff\xfe", b"no-number."]))
    evil.connect(network.endpoint)
    evil.send_multipart(encode(make_hello(camera_id=CameraId("evil"))))
    for number in range(count):
        evil.send_multipart(mutated(rng))
        if number % 20 == 0:
            matcher.turn()  # who never reads takes the connection for dead
    network.until(lambda: network.value("messages_received") >= count + 1, matcher.turn)
    assert network.value("messages_rejected") == len(network.rejected) > count / 2
    assert_still_serves(network, matcher)
    evil.close()
    context.term()


def test_many_large_parts_are_refused_as_one_message(network: Network) -> None:
    matcher = Matcher(network, set())
    evil = hostile.connect_dealer(network.endpoint, b"evil.7")
    for number in range(8):
        evil.sendall(hostile.part(bytes(900_000), more=number < 7))
    network.until(lambda: bool(network.rejected), matcher.turn)
    assert "a message has 1 or 2 parts, got 8" in str(network.rejected[0])
    evil.close()


def test_a_part_beyond_the_limit_ends_the_connection(network: Network) -> None:
    matcher = Matcher(network, set())
    evil = hostile.connect_dealer(network.endpoint, b"evil.7")
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        send_until_cut(evil, lambda: hostile.part(bytes(2_000_000), more=False), matcher)
    assert matcher.heard == []
    evil.close()


def test_a_message_without_end_is_cut_off(network: Network) -> None:
    matcher = Matcher(network, set())
    evil = hostile.connect_dealer(network.endpoint, b"evil.7")
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        send_until_cut(evil, lambda: hostile.part(bytes(500_000), more=True), matcher)
    assert network.value("peers_refused") >= 1
    assert_still_serves(network, matcher)
    evil.close()


def send_until_cut(
    channel: socket.socket, make: Callable[[], bytes], matcher: Matcher, limit: int = 400
) -> None:
    for _ in range(limit):
        channel.sendall(make())
        matcher.turn()


def test_a_sound_worker_with_a_long_queue_is_not_cut_off(network: Network) -> None:
    """Much more than the bound waits, but in complete messages."""
    matcher = Matcher(network, set())
    sender = network.sender()
    network.connect(sender, matcher)
    for index in range(60):
        sender.send_crop(make_crop(height=580, width=580, captured_at_s=10.0 + index))
    network.until(lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn)
    assert network.books().stored == 60
    assert network.value("peers_refused") == 0


class TestFloodGuard:
    """The guard alone, on plain TCP connections."""

    @pytest.fixture
    def listener(self) -> Iterator[socket.socket]:
        with socket.socket() as made:
            made.bind(("127.0.0.1", 0))
            made.listen()
            yield made

    def test_connections_beyond_the_bound_are_cut(self, listener: socket.socket) -> None:
        reasons: list[str] = []
        guard = FloodGuard(max_connections=TINY, max_unarrived_bytes=10**6, on_cut=reasons.append)
        pairs = [self.pair(listener) for _ in range(TINY + 1)]
        for _, served in pairs:
            guard.accepted(served.fileno())
        assert (len(guard), reasons) == (TINY, [f"more than {TINY} connections"])
        pairs[-1][0].settimeout(5.0)
        assert pairs[-1][0].recv(1) == b""
        guard.closed(pairs[0][1].fileno())
        assert len(guard) == TINY - 1
        self.close(pairs)

    def test_only_what_stays_beyond_the_bound_is_cut(self, listener: socket.socket) -> None:
        reasons: list[str] = []
        guard = FloodGuard(max_connections=9, max_unarrived_bytes=1000, on_cut=reasons.append)
        client, served = self.pair(listener)
        guard.accepted(served.fileno())
        client.sendall(bytes(5000))
        assert served.recv(5000, socket.MSG_WAITALL) == bytes(5000)
        guard.check()
        guard.arrived(served.fileno(), 4500)
        guard.check()
        guard.check()
        assert reasons == []
        client.sendall(bytes(5000))
        assert served.recv(5000, socket.MSG_WAITALL) == bytes(5000)
        guard.check()
        assert reasons == []
        guard.check()
        assert reasons == ["a message of more than 1000 bytes"]
        self.close([(client, served)])

    def test_descriptors_that_are_gone_or_something_else_do_no_harm(self, tmp_path: Path) -> None:
        guard = FloodGuard(max_connections=9, max_unarrived_bytes=0, on_cut=lambda _: None)
        with (tmp_path / "file").open("w") as file:
            guard.accepted(file.fileno())
            guard.accepted(99_999)
            guard.check()
            guard.check()
        assert len(guard) == 2

    @staticmethod
    def pair(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]

    @staticmethod
    def close(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
        for pair in pairs:
            for channel in pair:
                channel.close()


def test_a_track_end_of_another_camera_cannot_be_forged(network: Network) -> None:
    """The camera of a message is that of the connection, whatever the message says."""
    matcher = Matcher(network, set())
    sender = network.sender(camera_id=CameraId("window"), incarnation=5)
    sender.send_track(make_track())
    network.until(lambda: sender.pending == 0, lambda: sender.pump(network.turn_s), matcher.turn)
    assert {one.camera_id for one in matcher.heard} == {"window"}


def test_what_a_superseded_connection_left_is_passed_over_without_complaint(
    network: Network,
) -> None:
    """A worker connects again before the matcher has read what it sent before."""
    matcher = Matcher(network, set())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    first: list[Received] = []
    for number in range(2):
        worker = context.socket(zmq.DEALER)
        worker.setsockopt(zmq.LINGER, 1000)
        worker.setsockopt(zmq.ROUTING_ID, b"door.7")
        worker.connect(network.endpoint)
        worker.send_multipart(encode(make_hello()))
        for seq in range(5):
            worker.send_multipart(encode(CropMessage(seq, make_crop())))
        time.sleep(0.3)
        if number == 0:
            # known to the matcher, mostly unread, and gone
            network.until(
                lambda: bool(first),
                lambda: first.extend(matcher.receiver.poll(network.turn_s, limit=1)),
            )
            assert len(first) == 1
            worker.close()
            time.sleep(0.3)
    network.until(lambda: len(matcher.messages(CropMessage)) >= 5, matcher.turn)
    for _ in range(10):
        matcher.turn()
    assert network.rejected == []
    assert [one.seq for one in matcher.messages(CropMessage)] == [0, 1, 2, 3, 4]
    worker.close()
    context.term()
