"""aio-rtsp-toolkit's server on a machine whose clock is wrong, or with clips that follow the clock.

Usage: timed_server.py SHIFT_S ORIGIN_S [options of rtsp-server]; ORIGIN_S is `-` for clips that
begin anew with every client. With an origin, a client gets what happens now: somebody who connects
60 s after the origin sees the clip from second 60 on, as with a real camera. What such a server
reports first about its clock is written to `report.PORT` in the served folder: its time, and which
second of the clip it showed then.
"""

import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import av
from aio_rtsp_toolkit import server_streaming  # type: ignore[import-untyped]
from aio_rtsp_toolkit.server_rtp import RtspRtpMixin  # type: ignore[import-untyped]
from av.container import InputContainer
from av.video.stream import VideoStream

_true_time = time.time


class _Timed:
    """Stands for PyAV inside the server: what it opens begins at the present moment."""

    def __init__(self, origin_s: float) -> None:
        self._origin_s = origin_s
        self.first_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(av, name)

    def open(self, path: str, mode: Literal["r"] = "r") -> "_Present":
        container = av.open(path, mode)
        return _Present(container, self, _true_time() - self._origin_s)


class _Present:
    """A clip from the next key frame on, which is handed over when its moment has come."""

    def __init__(self, container: InputContainer, timed: _Timed, now_s: float) -> None:
        self._container = container
        self._timed = timed
        self._now_s = now_s
        self._due_s = time.monotonic() - now_s
        self.streams = container.streams

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, streams: Sequence[VideoStream]) -> Iterator[Any]:
        (stream,) = streams
        assert stream.time_base is not None
        assert stream.duration is not None
        length_s = float(stream.duration * stream.time_base)
        begin_s = self._now_s - self._now_s % length_s
        wanted = round((self._now_s - begin_s) / stream.time_base)
        self._container.seek(wanted, backward=False, stream=stream)
        first = True
        for packet in self._container.demux(stream):
            if first and packet.pts is not None:
                first = False
                self._timed.first_s = float(packet.pts * stream.time_base)
                self._wait_until(begin_s + self._timed.first_s)
            yield packet
        if first:  # behind the last key frame: wait for the beginning
            self._wait_until(begin_s + length_s)

    def _wait_until(self, position_s: float) -> None:
        time.sleep(max(0.0, self._due_s + position_s - time.monotonic()))


def _start_anywhere() -> None:
    """Begin the stream's own time at a random number, as RFC 3550 (5.1) asks; this server takes 0.

    FFmpeg takes 0 for "not yet known", and its times are then one frame too early.
    """
    offset = secrets.randbelow(2**31)
    send = RtspRtpMixin._send_rtp_packet

    async def shifted(self: Any, state: Any, payload: bytes, timestamp: int, marker: int) -> None:
        await send(self, state, payload, timestamp + offset, marker)

    RtspRtpMixin._send_rtp_packet = shifted


def _write_report(timed: _Timed) -> None:
    """Write down what is told first about the clock."""
    folder, port = (sys.argv[sys.argv.index(name) + 1] for name in ("-d", "-p"))
    path = Path(folder) / f"report.{port}"
    send = RtspRtpMixin._maybe_send_rtcp_sr

    async def noted(self: Any, state: Any) -> None:
        first_s = timed.first_s if state.last_rtcp_send_time is None else None
        await send(self, state)
        if first_s is not None and state.last_rtcp_send_time is not None:
            whole = path.with_suffix(".part")
            whole.write_text(f"{state.last_rtcp_send_time!r} {first_s!r}")
            whole.rename(path)

    RtspRtpMixin._maybe_send_rtcp_sr = noted


def main() -> None:
    """Serve until killed."""
    _start_anywhere()
    shift_s, origin = float(sys.argv.pop(1)), sys.argv.pop(1)
    if origin != "-":
        timed = _Timed(float(origin))
        server_streaming.av = timed
        _write_report(timed)
    if shift_s:
        time.time = lambda: _true_time() + shift_s
    from server_demo import main as serve  # type: ignore[import-untyped]

    serve()


if __name__ == "__main__":
    main()
