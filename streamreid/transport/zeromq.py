"""The transport over ZeroMQ: how camera workers and the matcher open their ends."""

from collections.abc import Callable

from streamreid.clock import Clock
from streamreid.errors import MessageError
from streamreid.messages import Hello
from streamreid.transport.endpoint import check_endpoint, prepare_ipc_folder
from streamreid.transport.keys import CurveClient, CurveServer
from streamreid.transport.receiver import Receiver, ReceiverCounters
from streamreid.transport.sender import Sender, SenderCounters
from streamreid.transport.sockets import ZmqMatcherLink, ZmqWorkerLink
from streamreid.types import CameraId


def open_sender(
    endpoint: str,
    hello: Hello,
    *,
    clock: Clock,
    counters: SenderCounters,
    outbox: int = 500,
    outbox_bytes: int = 64 * 1024 * 1024,
    stop: Callable[[], bool] = lambda: False,
    curve: CurveClient | None = None,
    jpeg_quality: int | None = None,
    on_refused: Callable[[], None] = lambda: None,
) -> Sender:
    """Connect a camera worker to the matcher; it need not be there yet.

    Args:
        endpoint: `ipc://PATH` or `tcp://HOST:PORT`.
        hello: Who the worker is; `live=False` makes a full outbox wait instead of drop.
        clock: For retries.
        counters: Where everything is counted.
        outbox: Most messages of each kind that wait to be sent.
        outbox_bytes: Most bytes of each kind that wait to be sent.
        stop: Asked while a full outbox makes the caller wait; True gives up waiting.
        curve: Keys; needed off loopback.
        jpeg_quality: Send crops as JPEG of this quality instead of raw pixels.
        on_refused: Told when the matcher refuses the connection, for want of an allowed key.

    Raises:
        TransportError: The endpoint cannot be used.
    """
    check_endpoint(endpoint, encrypted=curve is not None)
    identity = f"{hello.camera_id}.{hello.incarnation}".encode("ascii")
    return Sender(
        ZmqWorkerLink(endpoint, identity, curve, clock),
        hello,
        clock=clock,
        counters=counters,
        outbox=outbox,
        outbox_bytes=outbox_bytes,
        stop=stop,
        jpeg_quality=jpeg_quality,
        on_refused=on_refused,
    )


def open_receiver(
    endpoint: str,
    *,
    epoch: int,
    counters: ReceiverCounters,
    window: int = 64,
    curve: CurveServer | None = None,
    on_rejected: Callable[[MessageError], None] = lambda _: None,
    on_refused: Callable[[str], None] = lambda _: None,
    knows: Callable[[CameraId], bool] = lambda _: True,
) -> Receiver:
    """Listen for camera workers.

    Args:
        endpoint: `ipc://PATH` or `tcp://HOST:PORT`.
        epoch: Number of this matcher process; new after every start.
        counters: Where everything is counted.
        window: Messages of each kind that a worker may have unacknowledged.
        curve: Keys and allow-list; needed off loopback.
        on_rejected: Told about every message that cannot be read.
        on_refused: Told about every connection that was refused, without key material.
        knows: Whether a camera of this name may say Hello.

    Raises:
        TransportError: The endpoint cannot be used, or others may enter the socket folder.
    """
    check_endpoint(endpoint, encrypted=curve is not None)
    prepare_ipc_folder(endpoint)

    def refused(reason: str) -> None:
        counters.add("peers_refused")
        on_refused(reason)

    link = ZmqMatcherLink(endpoint, window=window, curve=curve, on_refused=refused)
    return Receiver(
        link,
        epoch=epoch,
        window=window,
        counters=counters,
        on_rejected=on_rejected,
        knows=knows,
    )
