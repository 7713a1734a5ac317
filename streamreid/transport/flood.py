"""Cuts off connections that fill memory: messages without end, and connections without number.

ZeroMQ bounds each part of a message, and how many messages wait, but not how many parts one
message has: a peer that never sends the last part fills memory without anything arriving. So what
the kernel has received on a connection is compared with what has arrived from it.
"""

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

_TCP_INFO_BYTES = 256
_BYTES_RECEIVED_OFFSET = 128
"""Of `tcpi_bytes_received` in struct tcp_info (linux/tcp.h, Linux 4.2 and later)."""


@dataclass(slots=True)
class _Connection:
    """What is known of one connection.

    Attributes:
        arrived: Bytes of complete messages.
        suspect: It was beyond the bound when last looked at, and nothing has arrived since.
    """

    arrived: int = 0
    suspect: bool = False


class FloodGuard:
    """Watches the connections of one socket, by their descriptors.

    Args:
        max_connections: More than these are cut off, newest first.
        max_unarrived_bytes: Bytes that may be under way in an unfinished message; the kernel's own
            buffer counts among them.
        on_cut: Told the reason of every cut.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        max_unarrived_bytes: int,
        on_cut: Callable[[str], None],
    ) -> None:
        self._max_connections = max_connections
        self._max_unarrived_bytes = max_unarrived_bytes
        self._on_cut = on_cut
        self._connections: dict[int, _Connection] = {}

    def __len__(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    def accepted(self, descriptor: int) -> None:
        """A connection was made."""
        if len(self._connections) >= self._max_connections:
            self._on_cut(f"more than {self._max_connections} connections")
            _cut(descriptor)
            return
        self._connections[descriptor] = _Connection()

    def closed(self, descriptor: int) -> None:
        """A connection has ended."""
        self._connections.pop(descriptor, None)

    def arrived(self, descriptor: int, size: int) -> None:
        """A complete message of `size` bytes came over a connection."""
        connection = self._connections.get(descriptor)
        if connection is not None:
            connection.arrived += size
            connection.suspect = False

    def cut(self, descriptor: int, reason: str) -> None:
        """Cut off one connection; with descriptor -1 it has ended already."""
        self._on_cut(reason)
        self._connections.pop(descriptor, None)
        if descriptor >= 0:
            _cut(descriptor)

    def check(self) -> None:
        """Cut off what is beyond its bound twice in a row; call it when nothing waits any more."""
        for descriptor, connection in list(self._connections.items()):
            received = _bytes_received(descriptor)
            if received is None:
                continue
            beyond = received - connection.arrived > self._max_unarrived_bytes
            if beyond and connection.suspect:
                self.cut(descriptor, f"a message of more than {self._max_unarrived_bytes} bytes")
            connection.suspect = beyond


def _bytes_received(descriptor: int) -> int | None:
    """Bytes that the kernel has received on a TCP connection; None where it does not say."""
    if not hasattr(socket, "TCP_INFO"):
        return None
    try:
        with socket.socket(fileno=os.dup(descriptor)) as channel:
            info = channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None
    if len(info) < _BYTES_RECEIVED_OFFSET + 8:
        return None
    received: int = struct.unpack_from("Q", info, _BYTES_RECEIVED_OFFSET)[0]
    return received


def _cut(descriptor: int) -> None:
    """End a connection; the library notices and forgets what was unfinished."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as channel:
            channel.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
