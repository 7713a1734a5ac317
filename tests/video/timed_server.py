"""aio-rtsp-toolkit's server on a machine whose clock is wrong, or with clips that follow the clock.

Usage: timed_server.py SHIFT_S ORIGIN_S [options of rtsp-server]; ORIGIN_S is `-` for clips that
begin anew with every client. With an origin, a client gets what happens now: somebody who connects
60 s after the origin sees the clip from second 60 on, as with a real camera.
"""

import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import av
from aio_rtsp_toolkit import server_streaming
from aio_rtsp_toolkit.server_rtp import RtspRtpMixin
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream


class _Timed:
    """Stands for PyAV inside the server: what it opens begins at the present moment."""

    def __init__(self, origin_s: float) -> None:
        self._origin_s = origin_s

    def __getattr__(self, name: str) -> Any:
        return getattr(av, name)

    def open(self, path: str, mode: str = "r") -> "_Present":
        container = av.open(path, mode)
        assert isinstance(container, InputContainer)
        return _Present(container, self._origin_s)


class _Present:
    """A clip from the next key frame on, which is handed over when its moment has come."""

    def __init__(self, container: InputContainer, origin_s: float) -> None:
        self._container = container
        self._origin_s = origin_s
        self.streams = container.streams

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, streams: Sequence[VideoStream]) -> Iterator[Packet]:
        (stream,) = streams
        assert stream.time_base is not None
        assert stream.duration is not None
        length_s = float(stream.duration * stream.time_base)
        position_s = (time.time() - self._origin_s) % length_s
        due_s = time.monotonic() - position_s
        self._container.seek(round(position_s / stream.time_base), backward=False, stream=stream)
        first = True
        for packet in self._container.demux(stream):
            if first and packet.pts is not None:
                first = False
                time.sleep(
                    max(0.0, due_s + float(packet.pts * stream.time_base) - time.monotonic())
                )
            yield packet
        if first:  # behind the last key frame: wait for the beginning
            time.sleep(max(0.0, due_s + length_s - time.monotonic()))


def _start_anywhere() -> None:
    """Begin the stream's own time at a random number, as RFC 3550 (5.1) asks; this server takes 0.

    FFmpeg takes 0 for "not yet known", and its times are then one frame too early.
    """
    offset = secrets.randbelow(2**31)
    send = RtspRtpMixin._send_rtp_packet

    async def shifted(self: Any, state: Any, payload: bytes, timestamp: int, marker: int) -> None:
        await send(self, state, payload, timestamp + offset, marker)

    RtspRtpMixin._send_rtp_packet = shifted


def main() -> None:
    """Serve until killed."""
    _start_anywhere()
    shift_s, origin = float(sys.argv.pop(1)), sys.argv.pop(1)
    if origin != "-":
        server_streaming.av = _Timed(float(origin))
    if shift_s:
        true_time = time.time
        time.time = lambda: true_time() + shift_s
    from server_demo import main as serve

    serve()


if __name__ == "__main__":
    main()
