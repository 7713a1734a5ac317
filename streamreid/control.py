"""The control channel: versioned requests on a local socket, answered between two turns of a loop.

One request and one answer per connection, each one line of JSON. The socket lies in the private run
folder, so only the user who started the run reaches it. The supervisor answers `status`, `stop` and
`reload`; the matcher, which alone writes the store, answers everything that changes it.
"""

import contextlib
import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreid.errors import ControlError, StreamreidError

CONTROL_VERSION = 1
SUPERVISOR_VERBS = ("status", "stop", "reload")
"""Verbs that the supervisor answers; all others go to the matcher."""

Arguments = Mapping[str, Any]
Handler = Callable[[str, Arguments, "Caller"], Mapping[str, Any]]

_MAX_LINE_BYTES = 1024 * 1024
_MAX_CONNECTIONS = 16
_IDLE_S = 5.0
_MAX_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: process and user id, as the kernel says."""

    pid: int
    uid: int


def socket_path(run_dir: Path, owner: str) -> Path:
    """Control socket of the `supervisor` or the `matcher`."""
    return run_dir / f"{owner}.control"


@dataclass(slots=True)
class _Connection:
    """One client and the part of its line that has arrived."""

    channel: socket.socket
    deadline_s: float
    received: bytearray = field(default_factory=bytearray)


class ControlServer:
    """Answers requests; `serve` is called from the owner's loop and never waits for a client.

    Args:
        path: The socket to listen on; a stale one is replaced, the store's lock makes that safe.
        handler: Gets verb, arguments and caller; its result is the answer, its error the refusal.

    Raises:
        ControlError: The socket cannot be made.
    """

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._selector = selectors.DefaultSelector()
        self._connections: dict[int, _Connection] = {}
        _check_path(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self._listener.bind(str(path))
            path.chmod(0o600)
            self._listener.listen(_MAX_CONNECTIONS)
        except OSError as exc:
            self._listener.close()
            raise ControlError(f"cannot make the control socket '{path}': {exc.strerror}") from exc
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def fileno(self) -> int:
        """Descriptor that becomes readable when `serve` has something to do (Linux)."""
        number: int = self._selector.fileno()
        return number

    def serve(self, timeout_s: float = 0.0) -> int:
        """Answer the requests that are complete; returns how many that were."""
        answered = 0
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._listener:
                self._accept()
            else:
                answered += self._read(self._connections[key.fd])
        now_s = time.monotonic()
        for late in [c for c in self._connections.values() if c.deadline_s < now_s]:
            self._drop(late)
        return answered

    def close(self) -> None:
        """Stop listening and remove the socket; safe to call twice."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._selector.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        """Let one client in, unless too many are here."""
        try:
            channel, _ = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            channel.close()
            return
        channel.setblocking(False)
        self._connections[channel.fileno()] = _Connection(channel, time.monotonic() + _IDLE_S)
        self._selector.register(channel, selectors.EVENT_READ)

    def _read(self, connection: _Connection) -> int:
        """Take in what a client sent; answer when its line is complete."""
        try:
            data = connection.channel.recv(65536)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        connection.received += data
        if not data or len(connection.received) > _MAX_LINE_BYTES:
            self._drop(connection)
            return 0
        if b"\n" not in data:
            return 0
        line = bytes(connection.received).partition(b"\n")[0]
        answer = json.dumps(self._answer(line, _caller(connection.channel)), default=str)
        # a client that does not read gets its answer cut off, and nobody waits for it
        connection.channel.settimeout(1.0)
        with contextlib.suppress(OSError):
            connection.channel.sendall(answer.encode() + b"\n")
        self._drop(connection)
        return 1

    def _answer(self, line: bytes, caller: Caller) -> dict[str, Any]:
        """Answer to one request line."""
        try:
            verb, arguments = _parse_request(line)
            return {"version": CONTROL_VERSION, "result": self._handler(verb, arguments, caller)}
        except StreamreidError as exc:
            return {
                "version": CONTROL_VERSION,
                "error": str(exc),
                "exit_code": exc.exit_code,
            }

    def _drop(self, connection: _Connection) -> None:
        """Forget one client."""
        number = connection.channel.fileno()
        self._selector.unregister(connection.channel)
        del self._connections[number]
        connection.channel.close()


def request(
    run_dir: Path, verb: str, arguments: Arguments | None = None, timeout_s: float = 10.0
) -> dict[str, Any]:
    """Ask a running streamreid something and wait for the answer.

    Args:
        run_dir: Private folder of the run.
        verb: What to do; `SUPERVISOR_VERBS` or a verb of the matcher.
        arguments: Values that JSON can carry.
        timeout_s: Longest wait for the answer.

    Returns:
        The result of the verb.

    Raises:
        ControlError: Nobody runs there, nobody answers, or the verb was refused.
    """
    owner = "supervisor" if verb in SUPERVISOR_VERBS else "matcher"
    path = socket_path(run_dir, owner)
    _check_path(path)
    question = {"version": CONTROL_VERSION, "verb": verb, "arguments": dict(arguments or {})}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout_s)
            channel.connect(str(path))
            channel.sendall(json.dumps(question).encode() + b"\n")
            with channel.makefile("rb") as answers:
                line = answers.readline(16 * _MAX_LINE_BYTES)
    except TimeoutError as exc:
        raise ControlError(
            f"the {owner} did not answer '{verb}' within {timeout_s:g} s: see its log"
        ) from exc
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise ControlError(
            f"no streamreid {owner} is running in '{run_dir}': start one with `streamreid run`, "
            "or name the cams.yaml of the one that runs"
        ) from exc
    except OSError as exc:
        raise ControlError(f"cannot reach the {owner} at '{path}': {exc.strerror}") from exc
    return _read_answer(line, owner, verb)


def _read_answer(line: bytes, owner: str, verb: str) -> dict[str, Any]:
    """Result in an answer line, or the error it tells."""
    try:
        answer = json.loads(line)
    except ValueError as exc:
        raise ControlError(f"the {owner} ended while it answered '{verb}': try again") from exc
    if not isinstance(answer, dict) or answer.get("version") != CONTROL_VERSION:
        raise ControlError(
            f"the {owner} speaks another version of the control channel: "
            "restart it with this version of streamreid"
        )
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    result: dict[str, Any] = answer["result"]
    return result


def _parse_request(line: bytes) -> tuple[str, dict[str, Any]]:
    """Verb and arguments of a request line."""
    try:
        question = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise ControlError("a request must be one line of JSON") from exc
    if not isinstance(question, dict) or question.get("version") != CONTROL_VERSION:
        raise ControlError(
            f"this streamreid reads control requests of version {CONTROL_VERSION}: "
            "use the command line of the version that runs"
        )
    verb, arguments = question.get("verb"), question.get("arguments", {})
    if not isinstance(verb, str) or not isinstance(arguments, dict):
        raise ControlError("a request needs a verb (text) and arguments (object)")
    return verb, arguments


def _caller(channel: socket.socket) -> Caller:
    """Who is at the other end."""
    if not hasattr(socket, "SO_PEERCRED"):
        return Caller(0, -1)
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack(
        "3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return Caller(pid, uid)


def _check_path(path: Path) -> None:
    """Refuse paths that the system cuts off."""
    size = len(str(path).encode())
    if size > _MAX_PATH_BYTES:
        raise ControlError(
            f"control socket '{path}' has {size} bytes, the system takes {_MAX_PATH_BYTES}: "
            "set a shorter run_dir"
        )
