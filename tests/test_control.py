"""The control channel: one question, one answer, and nothing that a client does stops the owner."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamreid.control import Caller, ControlServer, request, socket_path
from streamreid.errors import ConfigError, ControlError


def handle(verb: str, arguments: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
    if verb == "refuse":
        raise ConfigError("no camera 'dor' at rtsp://u:hunter2@host/, did you mean 'door'?")
    return {"verb": verb, "arguments": arguments, "uid": caller.uid, "pid": caller.pid}


class Service:
    """A server and the thread of its loop."""

    def __init__(self, run_dir: Path, owner: str) -> None:
        self.server = ControlServer(socket_path(run_dir, owner), handle)
        self._stopped = False
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    def _loop(self) -> None:
        while not self._stopped:
            self.server.serve(0.02)

    def close(self) -> None:
        self._stopped = True
        self._thread.join()
        self.server.close()


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "run"
    services = [Service(folder, "supervisor"), Service(folder, "matcher")]
    yield folder
    for service in services:
        service.close()


def test_a_question_gets_its_answer_and_tells_who_asked(run_dir: Path) -> None:
    import os

    answer = request(run_dir, "status")
    assert answer == {"verb": "status", "arguments": {}, "uid": os.getuid(), "pid": os.getpid()}
    answer = request(run_dir, "identity.merge", {"into": 1, "from": [2, 3]})
    assert answer["arguments"] == {"into": 1, "from": [2, 3]}


def test_a_refusal_is_an_error_with_its_text_and_without_passwords(run_dir: Path) -> None:
    with pytest.raises(ControlError, match="did you mean 'door'") as caught:
        request(run_dir, "refuse")
    assert "hunter2" not in str(caught.value)


def test_the_socket_is_private(run_dir: Path) -> None:
    assert socket_path(run_dir, "supervisor").stat().st_mode & 0o077 == 0
    assert run_dir.stat().st_mode & 0o077 == 0


def test_verbs_go_to_the_process_that_may_answer_them(tmp_path: Path) -> None:
    supervisor = Service(tmp_path, "supervisor")
    try:
        assert request(tmp_path, "reload")["verb"] == "reload"
        with pytest.raises(ControlError, match="no streamreid matcher is running"):
            request(tmp_path, "identity.merge")
    finally:
        supervisor.close()


def test_nobody_there_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="start one with `streamreid run`"):
        request(tmp_path, "status")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(socket_path(tmp_path, "supervisor")))
    stale.close()
    with pytest.raises(ControlError, match="no streamreid supervisor is running"):
        request(tmp_path, "status")
    Service(tmp_path, "supervisor").close()


def test_an_owner_that_hangs_is_given_up(tmp_path: Path) -> None:
    server = ControlServer(socket_path(tmp_path, "supervisor"), handle)
    with pytest.raises(ControlError, match=r"did not answer 'status' within 0\.2 s"):
        request(tmp_path, "status", timeout_s=0.2)
    server.close()


def test_a_path_that_the_system_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="the system takes 107: set a shorter run_dir"):
        ControlServer(socket_path(tmp_path / ("x" * 100), "supervisor"), handle)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"hello", "one line of JSON"),
        (b"[" * 100_000, "one line of JSON"),
        (b"[]", "reads control requests of version 1"),
        (b'{"version": 2, "verb": "status"}', "reads control requests of version 1"),
        (b'{"version": 1}', "needs a verb"),
        (b'{"version": 1, "verb": "status", "arguments": []}', "needs a verb"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_malformed_question_is_told_what_is_wrong(run_dir: Path, line: bytes, words: str) -> None:
    assert words in raw(run_dir, line + b"\n").decode()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_garbage_does_not_stop_the_service(run_dir: Path, data: bytes) -> None:
    raw(run_dir, data)
    assert request(run_dir, "status")["verb"] == "status"


def test_idle_and_endless_clients_do_not_keep_others_out(run_dir: Path) -> None:
    path = str(socket_path(run_dir, "supervisor"))
    idle = [socket.socket(socket.AF_UNIX) for _ in range(12)]
    for one in idle:
        one.connect(path)
    endless = socket.socket(socket.AF_UNIX)
    endless.connect(path)
    endless.settimeout(5.0)
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        send_without_end(endless)
    assert request(run_dir, "status")["verb"] == "status"
    for one in [*idle, endless]:
        one.close()


def send_without_end(channel: socket.socket) -> None:
    for _ in range(200):
        channel.sendall(b"x" * 65536)
        time.sleep(0.001)


def raw(run_dir: Path, data: bytes) -> bytes:
    """Send bytes as they are, give what comes back."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(5.0)
        channel.connect(str(socket_path(run_dir, "supervisor")))
        try:
            channel.sendall(data)
            channel.shutdown(socket.SHUT_WR)
            return channel.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            return b""
