"""Who may connect: keys, the allow-list, and addresses that need them (S2, S3)."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from streamreid.clock import SystemClock
from streamreid.errors import TransportError
from streamreid.messages import CropMessage, encode
from streamreid.runtime.counter_rows import Counts, read_counters
from streamreid.runtime.counters import create_counters
from streamreid.transport.endpoint import check_endpoint, prepare_ipc_folder
from streamreid.transport.keys import (
    CurveClient,
    CurveServer,
    allowed_keys,
    create_keys,
    load_keys,
    load_public_key,
)
from streamreid.transport.receiver import Receiver
from streamreid.transport.sender import Sender
from streamreid.transport.zeromq import open_receiver, open_sender
from tests.builders import make_crop, make_hello

TURN_S = 0.02


@pytest.mark.parametrize(
    "endpoint",
    [
        "ipc:///tmp/x/m.sock",
        "tcp://127.0.0.1:5577",
        "tcp://127.9.9.9:1",
        "tcp://localhost:*",
        "tcp://[::1]:5577",
    ],
)
def test_addresses_of_this_machine_need_no_keys(endpoint: str) -> None:
    check_endpoint(endpoint, encrypted=False)


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://0.0.0.0:5577", "tcp://*:5577", "tcp://10.0.0.4:5577", "tcp://[::]:5577", "tcp://h:1"],
)
def test_addresses_that_others_reach_need_keys(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"needs encryption: set transport\.curve") as caught:
        check_endpoint(endpoint, encrypted=False)
    assert caught.value.exit_code == 2
    check_endpoint(endpoint, encrypted=True)
    with (
        create_counters(tmp_path, "matcher", "m", 1, clock=SystemClock()) as counters,
        pytest.raises(TransportError),
    ):
        open_receiver(endpoint, epoch=1, counters=counters)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("inproc://x", "must be ipc://PATH or tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "must be ipc://PATH or tcp://HOST:PORT"),
        ("ipc://@abstract", "must name a file"),
        ("ipc://", "must name a file"),
        ("ipc:///" + "x" * 120, "the system takes 107"),
    ],
)
def test_addresses_that_cannot_work_are_refused(endpoint: str, words: str) -> None:
    with pytest.raises(TransportError, match=words):
        check_endpoint(endpoint, encrypted=True)


def test_a_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(TransportError, match="has mode 0755, others may enter it"):
        prepare_ipc_folder(f"ipc://{tmp_path}/open/m")
    prepare_ipc_folder(f"ipc://{tmp_path}/new/m")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_an_address_in_use_is_said_so(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with (
            create_counters(tmp_path, "matcher", "m", 1, clock=SystemClock()) as counters,
            pytest.raises(TransportError, match="is another matcher running"),
        ):
            open_receiver(endpoint, epoch=1, counters=counters)


class TestKeyFiles:
    """Keys on disk."""

    def test_the_secret_half_is_private_and_never_shown(self, tmp_path: Path) -> None:
        public, secret = create_keys(tmp_path / "keys", "worker")
        assert secret.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
        pair = load_keys(secret)
        assert pair.public == load_public_key(public)
        assert pair.secret.decode() not in repr(pair)
        assert pair.secret.decode() in secret.read_text()

    def test_a_secret_that_others_may_read_is_refused(self, tmp_path: Path) -> None:
        _, secret = create_keys(tmp_path, "worker")
        secret.chmod(0o640)
        with pytest.raises(TransportError, match="has mode 0640, others may read it: chmod 600"):
            load_keys(secret)

    def test_keys_are_never_overwritten(self, tmp_path: Path) -> None:
        create_keys(tmp_path, "worker")
        with pytest.raises(TransportError, match="exists already"):
            create_keys(tmp_path, "worker")

    @pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 65])
    def test_a_name_that_is_no_name_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(TransportError, match="must match"):
            create_keys(tmp_path, name)

    @pytest.mark.parametrize(
        "text",
        ["", "hello", "streamreid-curve-secret short", "streamreid-curve-public " + "x" * 40],
    )
    def test_a_file_that_is_no_key_is_refused_without_its_content(
        self, tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "x.secret"
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(TransportError, match="is no secret key") as caught:
            load_keys(path)
        assert "short" not in str(caught.value)

    def test_a_missing_file_names_the_command_that_makes_it(self, tmp_path: Path) -> None:
        with pytest.raises(TransportError, match="make one with `streamreid keys create`"):
            load_keys(tmp_path / "none.secret")

    def test_damaged_files_in_the_allow_list_allow_nobody(self, tmp_path: Path) -> None:
        public, _ = create_keys(tmp_path, "worker")
        (tmp_path / "bad.public").write_text("garbage")
        assert allowed_keys(tmp_path) == {load_public_key(public): "worker"}


class Site:
    """A matcher with keys and an allow-list, on loopback TCP.

    Args:
        folder: Where everything lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.allowed = folder / "allowed"
        create_keys(folder, "matcher")
        create_keys(self.allowed, "worker")
        self.refused: list[str] = []
        self.counters = create_counters(folder, "matcher", "matcher", 1, clock=SystemClock())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.receiver: Receiver = open_receiver(
            self.endpoint,
            epoch=1,
            counters=self.counters,
            curve=CurveServer(load_keys(folder / "matcher.secret"), self.allowed),
            on_refused=self.refused.append,
        )
        self.senders: list[Sender] = []

    def sender(self, incarnation: int, curve: CurveClient | None) -> Sender:
        """A worker with some keys."""
        counters = create_counters(self.folder, "camera", "door", incarnation, clock=SystemClock())
        sender = open_sender(
            self.endpoint,
            make_hello(incarnation=incarnation),
            clock=SystemClock(),
            counters=counters,
            curve=curve,
        )
        self.senders.append(sender)
        return sender

    def keys(self, secret: Path) -> CurveClient:
        """A pair of this site together with the matcher's public key."""
        return CurveClient(load_keys(secret), load_public_key(self.folder / "matcher.public"))

    def books(self, incarnation: int) -> Counts:
        """Crops of one worker."""
        rows = read_counters(self.folder)
        return next(row.books["crop"] for row in rows if row.incarnation == incarnation)

    def turn(self) -> list[object]:
        """One turn of everybody; what the matcher heard."""
        for sender in self.senders:
            sender.pump(TURN_S)
        return [received.message for received in self.receiver.poll(TURN_S)]

    def close(self) -> None:
        """Close everything."""
        for sender in self.senders:
            sender.close()
        self.receiver.close()
        self.counters.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def is_welcomed(site: Site, sender: Sender, turns: int = 500) -> bool:
    for _ in range(turns):
        site.turn()
        if sender.connected:
            return True
    return False


def test_an_allowed_key_connects(site: Site) -> None:
    sender = site.sender(7, site.keys(site.allowed / "worker.secret"))
    assert is_welcomed(site, sender)
    sender.send_crop(make_crop())
    heard: list[object] = []
    for _ in range(100):
        heard += site.turn()
        if any(isinstance(message, CropMessage) for message in heard):
            break
    assert any(isinstance(message, CropMessage) for message in heard)
    assert site.refused == []


@pytest.mark.parametrize("who", ["plain", "rogue key", "revoked key", "wrong server key"])
def test_strangers_are_refused_counted_and_logged_without_keys(site: Site, who: str) -> None:
    secrets = [load_keys(site.allowed / "worker.secret")]
    if who == "plain":
        stranger = site.sender(8, None)
    elif who == "rogue key":
        _, path = create_keys(site.folder, "rogue")
        secrets.append(load_keys(path))
        stranger = site.sender(8, site.keys(path))
    elif who == "revoked key":
        friend = site.sender(7, site.keys(site.allowed / "worker.secret"))
        assert is_welcomed(site, friend)
        site.senders.remove(friend)
        friend.close()
        (site.allowed / "worker.public").unlink()
        stranger = site.sender(8, site.keys(site.allowed / "worker.secret"))
    else:
        other, _ = create_keys(site.folder, "other")
        client = CurveClient(secrets[0], load_public_key(other))
        stranger = site.sender(8, client)
    for _ in range(500):
        site.turn()
        if site.refused:
            break
    assert not stranger.connected
    assert site.refused
    (row,) = [row for row in read_counters(site.folder) if row.role == "matcher"]
    assert row.values["peers_refused"] == len(site.refused)
    text = " ".join(site.refused)
    for pair in secrets:
        assert pair.public.decode() not in text
        assert pair.secret.decode() not in text


def test_a_key_added_while_running_is_allowed_at_once(site: Site) -> None:
    _, secret = create_keys(site.folder / "elsewhere", "late")
    sender = site.sender(9, site.keys(secret))
    for _ in range(200):
        site.turn()
        if site.refused:
            break
    assert not sender.connected
    (site.folder / "elsewhere" / "late.public").rename(site.allowed / "late.public")
    assert is_welcomed(site, sender)


def test_a_connected_worker_whose_key_is_revoked_is_cut_off(site: Site) -> None:
    sender = site.sender(7, site.keys(site.allowed / "worker.secret"))
    assert is_welcomed(site, sender)
    (site.allowed / "worker.public").unlink()
    heard: list[object] = []
    for number in range(500):
        sender.send_crop(make_crop(captured_at_s=10.0 + number))
        heard += site.turn()
        if len(set(site.refused)) >= 2 and not sender.connected:
            break
    assert "key no longer in the allow-list" in site.refused
    assert "key not in the allow-list" in site.refused
    assert not sender.connected
    stored = site.books(7)
    assert stored.produced == stored.depth + stored.dropped_total


def test_plain_text_on_the_wire_tells_nothing(site: Site) -> None:
    """A stranger's socket that speaks ZeroMQ without CURVE hears no message of ours."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    spy = context.socket(zmq.DEALER)
    spy.setsockopt(zmq.LINGER, 0)
    spy.connect(site.endpoint)
    spy.send_multipart(encode(make_hello()), zmq.NOBLOCK)
    for _ in range(50):
        assert site.turn() == []
    assert not spy.poll(0)
    spy.close()
    context.term()
