"""Decides which CURVE keys may connect (ZeroMQ's ZAP protocol), in the matcher's own thread."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from zmq.utils import z85

from streamreid.transport.keys import allowed_keys

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"streamreid"

_READ_EVERY_S = 2.0


class AllowList:
    """Answers the library's question whether a key may connect; bind it before the server socket.

    Args:
        context: The context of the server socket.
        folder: Folder of `.public` files; read again at every question.
        on_refused: Told the reason of every refusal, without key material.
    """

    def __init__(
        self, context: "zmq.Context[Any]", folder: Path, on_refused: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._on_refused = on_refused
        self._names: frozenset[str] = frozenset()
        self._read_again_s = 0.0
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP_ENDPOINT)

    def answer(self) -> None:
        """Answer every question that waits."""
        while self.socket.poll(0, zmq.POLLIN):
            self._answer_one(self.socket.recv_multipart())

    def still_allows(self, name: str) -> bool:
        """Whether a peer that was let in is still in the list; the folder is read now and then."""
        now_s = time.monotonic()
        if now_s >= self._read_again_s:
            self._read_again_s = now_s + _READ_EVERY_S
            self._names = frozenset(allowed_keys(self._folder).values())
        return name in self._names

    def close(self) -> None:
        """Stop answering; new connections are then refused."""
        self.socket.close()

    def _answer_one(self, question: list[bytes]) -> None:
        version, request_id = question[0], question[1]
        name: str | None = None
        mechanism = question[5] if len(question) > 5 else b""
        if mechanism == b"CURVE" and len(question) == 7 and len(question[6]) == 32:
            name = allowed_keys(self._folder).get(z85.encode(question[6]))
        if name is None:
            text = "key not in the allow-list" if mechanism == b"CURVE" else "no CURVE"
            self._on_refused(text)
            reply = [version, request_id, b"400", text.encode(), b"", b""]
        else:
            self._read_again_s = 0.0
            reply = [version, request_id, b"200", b"OK", name.encode(), b""]
        self.socket.send_multipart(reply)
