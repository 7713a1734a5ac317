"""Servers on 127.0.0.1 that tests can kill, freeze and restart."""

import http.server
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


def free_port(besides: int = 0) -> int:
    """A TCP port of 127.0.0.1 that nobody uses at this moment, another one than `besides`.

    It is below those that the system gives to connections: one of these could take it before the
    server that it is meant for has started, or while that is killed.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        if port == besides:
            continue
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Wait for something that happens in another thread or process; True once it did."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class RtspServer:
    """aio-rtsp-toolkit's server over a folder of clips, each served in a loop.

    Args:
        folder: Clips to serve.
        clock_shift_s: How far the server's clock is ahead of the true time.
        origin_s: When the clips began, epoch seconds: whoever connects sees what happens now. None
            begins a clip anew for everybody.
    """

    def __init__(
        self, folder: Path, *, clock_shift_s: float = 0.0, origin_s: float | None = None
    ) -> None:
        self._folder = folder
        self._clock_shift_s = clock_shift_s
        self._origin_s = origin_s
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, name: str, userinfo: str = "") -> str:
        """Address of a clip."""
        return f"rtsp://{userinfo}127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        process = self.launch()
        if not wait_until(lambda: self._listens() or process.poll() is not None, 60.0):
            raise RuntimeError(f"the RTSP server does not listen on port {self.port}")
        if process.poll() is not None:
            raise RuntimeError(f"the RTSP server ended with exit code {process.returncode}")

    def report(self) -> tuple[float, float]:
        """What it told first about its clock: its time, and which second of the clip it showed."""
        path = self._folder / f"report.{self.port}"
        if not wait_until(path.exists):
            raise RuntimeError("the RTSP server has not told the time")
        told_s, position_s = path.read_text().split()
        return float(told_s), float(position_s)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return self._process

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Stop it without closing its connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        origin = "-" if self._origin_s is None else str(self._origin_s)
        command = [sys.executable, _beside("timed_server.py"), str(self._clock_shift_s), origin]
        command += ["-d", str(self._folder), "-H", "127.0.0.1", "-p", str(self.port)]
        return [*command, "-cp", str(free_port(besides=self.port))]

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class GStreamerServer(RtspServer):
    """GStreamer's RTSP server over the same clips, each served once, to every client anew.

    Args:
        folder: Clips to serve.
        clock_shift_s: How far the server's clock is ahead of the true time.
        userinfo: `name:password` that it asks for; empty lets everybody in.
    """

    def __init__(self, folder: Path, *, clock_shift_s: float = 0.0, userinfo: str = "") -> None:
        super().__init__(folder, clock_shift_s=clock_shift_s)
        self._userinfo = userinfo

    def _command(self) -> list[str]:
        python = gstreamer_python()
        if python is None:
            raise RuntimeError("GStreamer's RTSP server is not installed here")
        shift = str(self._clock_shift_s)
        command = [python, _beside("gstreamer_server.py"), str(self._folder), str(self.port)]
        return [*command, shift, self._userinfo]


@cache
def gstreamer_python() -> str | None:
    """The Python that can run GStreamer's RTSP server, or None where it is not installed.

    Its bindings come with the system and are seen by the system's Python only.
    """
    for python in ("/usr/bin/python3", sys.executable):
        check = [python, _beside("gstreamer_server.py"), "--check"]
        if not Path(python).exists():
            continue
        if subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return python
    return None


def _beside(name: str) -> str:
    return str(Path(__file__).with_name(name))


@contextmanager
def running(server: RtspServer) -> Iterator[RtspServer]:
    """Start a server, and kill it at the end, frozen or not."""
    server.start()
    try:
        yield server
    finally:
        server.thaw()
        server.kill()


def rtsp_server(
    folder: Path, *, clock_shift_s: float = 0.0, origin_s: float | None = None
) -> AbstractContextManager[RtspServer]:
    """A running RTSP server; arguments as of `RtspServer`."""
    return running(RtspServer(folder, clock_shift_s=clock_shift_s, origin_s=origin_s))


@contextmanager
def http_server(answers: Mapping[str, Answer]) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server with fixed answers; gives its address and the list of paths asked for.

    Args:
        answers: Status, headers and body per path; other paths are 404.
    """
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            del args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
