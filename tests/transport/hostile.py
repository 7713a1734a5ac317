"""Peers that mean harm, speaking ZeroMQ's wire protocol by hand (ZMTP 3.0, NULL mechanism)."""

import random
import socket
import struct

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def connect(endpoint: str) -> socket.socket:
    """A bare connection."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    channel = socket.create_connection((host, int(port)))
    channel.settimeout(10.0)
    return channel


def connect_dealer(endpoint: str, identity: bytes) -> socket.socket:
    """A connection past its handshake, as a DEALER of some name."""
    channel = connect(endpoint)
    body = b"\x05READY" + _property(b"Socket-Type", b"DEALER") + _property(b"Identity", identity)
    channel.sendall(GREETING + b"\x04" + bytes([len(body)]) + body)
    return channel


def part(data: bytes, *, more: bool) -> bytes:
    """One part of a message on the wire."""
    return bytes([0x02 | more]) + struct.pack(">Q", len(data)) + data


def garbage(rng: random.Random) -> bytes:
    """What somebody might send to an open port."""
    noise = rng.randbytes(rng.randrange(1, 300))
    return rng.choice(
        [
            noise,
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise,
            GREETING[: rng.randrange(1, 64)],
            GREETING + noise,
            GREETING + b"\x04\xff" + noise,
            GREETING + bytes([0x06]) + struct.pack(">Q", 2**62),
        ]
    )


def _property(name: bytes, value: bytes) -> bytes:
    """One property of a READY command."""
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
