"""ZeroMQ sockets behind the seam of link.py: a worker's DEALER and the matcher's ROUTER."""

import contextlib
import struct
from collections.abc import Callable, Sequence
from typing import Any, Literal

import zmq

from streamreid.clock import Clock
from streamreid.errors import TransportError
from streamreid.messages import KINDS
from streamreid.messages.pixels import Part
from streamreid.transport.flood import FloodGuard
from streamreid.transport.keys import CurveClient, CurveServer
from streamreid.transport.link import Arrival, LinkEvent
from streamreid.transport.zap import ZAP_DOMAIN, AllowList

_MAX_MESSAGE_BYTES = 1024 * 1024
# libzmq, zmq_socket_monitor(3); `zmq.utils.monitor` would import asyncio, 6 MiB in every worker.
_MONITOR_EVENT = struct.Struct("=Hi")
_HEARTBEAT_MS = 500
_HEARTBEAT_TIMEOUT_MS = 1500
_HANDSHAKE_MS = 10_000
_SENDER_LINGER_MS = 200
_CONTROL_MESSAGES = 128
_ZERO_COPY_BYTES = 64 * 1024
_MAX_CONNECTIONS = 512
_MAX_UNFINISHED_BYTES = 16 * 1024 * 1024

_REFUSED_RETRY_S = 1.0

_REFUSALS = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_MATCHER_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | _REFUSALS
_WORKER_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _REFUSALS


class ZmqWorkerLink:
    """One DEALER socket with its own context; `IMMEDIATE`, so nothing queues for an absent peer."""

    def __init__(
        self, endpoint: str, identity: bytes, curve: CurveClient | None, clock: Clock
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._retry_at_s = float("inf")
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        _set_common_options(self._socket)
        self._socket.setsockopt(zmq.LINGER, _SENDER_LINGER_MS)
        self._socket.setsockopt(zmq.ROUTING_ID, identity)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        if curve is not None:
            self._socket.curve_serverkey = curve.server_public
            self._socket.curve_publickey = curve.keys.public
            self._socket.curve_secretkey = curve.keys.secret
        self._monitor = _watch(self._context, self._socket, _WORKER_EVENTS)
        self._poller = zmq.Poller()
        self._poller.register(self._monitor, zmq.POLLIN)
        self._poller.register(self._socket, zmq.POLLIN)
        self._socket.connect(endpoint)

    def poll(self, timeout_s: float) -> list[LinkEvent]:
        """Connection changes first, then messages."""
        self._poller.poll(max(0, round(timeout_s * 1000)))
        events = [LinkEvent(self._meaning(event)) for event, _ in _monitor_events(self._monitor)]
        self._try_again()
        while (frames := _receive(self._socket)) is not None:
            events.append(LinkEvent("parts", tuple(map(_part, frames))))
        return events

    def send(self, parts: Sequence[Part]) -> bool:
        """Hand a message to the socket; False without a connection or beyond its bound."""
        return _send(self._socket, parts)

    def _meaning(self, event: int) -> Literal["up", "down", "refused"]:
        """What a monitor event says about the connection."""
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            return "up"
        if event == zmq.EVENT_DISCONNECTED:
            return "down"
        self._retry_at_s = min(self._retry_at_s, self._clock.monotonic_s() + _REFUSED_RETRY_S)
        return "refused"

    def _try_again(self) -> None:
        """The library gives up after a refusal; the key may be allowed later, so connect anew."""
        if self._clock.monotonic_s() < self._retry_at_s:
            return
        self._retry_at_s = float("inf")
        with contextlib.suppress(zmq.ZMQError):
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)

    def close(self) -> None:
        """Close; what was just sent has a moment to leave."""
        if self._context.closed:
            return
        self._socket.monitor(None, 0)
        self._monitor.close()
        self._socket.close()
        self._context.term()


class ZmqMatcherLink:
    """One ROUTER socket, the allow-list of keys, and a watch on refused and greedy peers."""

    def __init__(
        self,
        endpoint: str,
        *,
        window: int,
        curve: CurveServer | None,
        on_refused: Callable[[str], None],
    ) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._on_refused = on_refused
        self._allow_list: AllowList | None = None
        self._guard = FloodGuard(
            max_connections=_MAX_CONNECTIONS,
            max_unarrived_bytes=_MAX_UNFINISHED_BYTES,
            on_cut=on_refused,
        )
        self._socket = self._context.socket(zmq.ROUTER)
        _set_common_options(self._socket)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        # A sound worker never reaches this bound: the library would then stop reading, heartbeats
        # too, and break the connection. Twice, because it counts in steps of half the bound.
        self._socket.setsockopt(zmq.RCVHWM, 2 * (window * len(KINDS) + _CONTROL_MESSAGES))
        self._monitor = _watch(self._context, self._socket, _MATCHER_EVENTS)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        try:
            if curve is not None:
                self._allow_list = AllowList(self._context, curve.allowed, on_refused)
                self._poller.register(self._allow_list.socket, zmq.POLLIN)
                self._socket.curve_server = True
                self._socket.curve_secretkey = curve.keys.secret
                self._socket.zap_domain = ZAP_DOMAIN
            self._socket.bind(endpoint)
        except zmq.ZMQError as exc:
            self.close()
            raise TransportError(
                f"cannot listen on '{endpoint}': {exc.strerror}; is another matcher running, "
                "or is the address not one of this machine? Change transport.endpoint"
            ) from exc

    @property
    def endpoint(self) -> str:
        """The address that was bound, with the port that the system chose."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def poll(self, timeout_s: float, limit: int) -> list[Arrival]:
        """Wait for messages; questions about keys are answered meanwhile."""
        self._poller.poll(max(0, round(timeout_s * 1000)))
        if self._allow_list is not None:
            self._allow_list.answer()
        for event, value in _monitor_events(self._monitor):
            self._note(event, value)
        arrivals: list[Arrival] = []
        while len(arrivals) < limit:
            frames = _receive(self._socket)
            if frames is None:
                self._guard.check()
                break
            source = _source(frames[0])
            self._guard.arrived(source, sum(map(len, frames)))
            if _superseded(frames):
                continue
            if self._is_revoked(frames):
                self._guard.cut(source, "key no longer in the allow-list")
                continue
            arrivals.append(Arrival(frames[0].bytes, tuple(map(_part, frames[1:]))))
        return arrivals

    def _is_revoked(self, frames: Sequence[zmq.Frame]) -> bool:
        """True for messages of a peer whose key was taken out of the allow-list."""
        if self._allow_list is None:
            return False
        return not self._allow_list.still_allows(_property(frames[-1], "User-Id"))

    def _note(self, event: int, value: int) -> None:
        """Keep track of connections; refusals of keys are told by the allow-list itself."""
        if event == zmq.EVENT_ACCEPTED:
            self._guard.accepted(value)
        elif event in (zmq.EVENT_DISCONNECTED, zmq.EVENT_CLOSED):
            self._guard.closed(value)
        elif event != zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._on_refused(f"handshake failed ({value})")

    def send(self, peer: bytes, parts: Sequence[Part]) -> bool:
        """Hand a message to the socket; False when the peer is gone or reads nothing."""
        return _send(self._socket, (peer, *parts))

    def close(self) -> None:
        """Close everything; safe to call twice."""
        if self._context.closed:
            return
        self._socket.monitor(None, 0)
        self._monitor.close()
        self._socket.close()
        if self._allow_list is not None:
            self._allow_list.close()
        self._context.term()


def _set_common_options(socket: "zmq.Socket[Any]") -> None:
    """Limits and heartbeats that both ends share."""
    socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TTL, _HEARTBEAT_TIMEOUT_MS + _HEARTBEAT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.setsockopt(zmq.IPV6, 1)


def _watch(
    context: "zmq.Context[Any]", socket: "zmq.Socket[Any]", events: int
) -> "zmq.Socket[Any]":
    """A socket that tells what happens to the connections of another."""
    address = f"inproc://monitor.{socket.FD}"
    monitor: zmq.Socket[Any] = context.socket(zmq.PAIR)
    monitor.setsockopt(zmq.LINGER, 0)
    # without a bound: the library's own thread would wait for us when it is reached
    monitor.setsockopt(zmq.RCVHWM, 0)
    socket.monitor(address, events)
    monitor.connect(address)
    return monitor


def _receive(socket: "zmq.Socket[Any]") -> list[zmq.Frame] | None:
    """Parts of the next message that waits, or None."""
    try:
        return socket.recv_multipart(zmq.NOBLOCK, copy=False)
    except zmq.Again:
        return None


def _source(frame: zmq.Frame) -> int:
    """Descriptor of the connection that a message came over; -1 when it has ended since."""
    try:
        return int(frame.get(zmq.SRCFD))
    except zmq.ZMQError:
        return -1


def _superseded(frames: Sequence[zmq.Frame]) -> bool:
    """True for what an old connection left when the same worker had connected again.

    The library gives the old connection a number as its routing id. Its messages are not lost: the
    worker sends again what was not acknowledged.
    """
    return frames[0].bytes[:1] == b"\0" and bool(_property(frames[-1], "Identity"))


def _property(frame: zmq.Frame, name: str) -> str:
    """What the library knows of the connection of a message; empty when it does not."""
    try:
        return str(frame.get(name))
    except zmq.ZMQError:
        return ""


def _part(frame: zmq.Frame) -> Part:
    """Bytes of a part; large ones are not copied."""
    return frame.buffer if len(frame) >= _ZERO_COPY_BYTES else frame.bytes


def _send(socket: "zmq.Socket[Any]", parts: Sequence[Part]) -> bool:
    """Send without waiting; False when the socket cannot take the message."""
    try:
        socket.send_multipart(parts, zmq.NOBLOCK)
    except zmq.Again:
        return False
    except zmq.ZMQError as exc:
        if exc.errno == zmq.EHOSTUNREACH:
            return False
        raise
    return True


def _monitor_events(monitor: "zmq.Socket[Any]") -> list[tuple[int, int]]:
    """Events and their values that wait on a monitor socket."""
    events = []
    while monitor.poll(0, zmq.POLLIN):
        event, value = _MONITOR_EVENT.unpack(monitor.recv_multipart()[0])
        events.append((event, value))
    return events
