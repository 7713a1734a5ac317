"""Where the processes of one run meet: the address of the matcher and the keys to it."""

from collections.abc import Callable
from pathlib import Path

from streamreid.clock import SystemClock
from streamreid.config.models import Config
from streamreid.runtime.throttle import Throttle
from streamreid.transport.keys import CurveClient, CurveServer, load_keys, load_public_key
from streamreid.transport.receiver import Receiver, ReceiverCounters
from streamreid.transport.zeromq import open_receiver
from streamreid.types import CameraId


def matcher_endpoint(config: Config) -> str:
    """Address at which the matcher listens."""
    if config.transport.endpoint != "auto":
        return config.transport.endpoint
    return f"ipc://{config.resolved_run_dir}/matcher.sock"


def server_keys(config: Config) -> CurveServer | None:
    """The matcher's keys: `matcher.secret`, and the folder `allowed` of those who may connect.

    Raises:
        TransportError: They are configured and cannot be read.
    """
    folder = config.transport.curve
    if folder is None:
        return None
    return CurveServer(load_keys(folder / "matcher.secret"), folder / "allowed")


def client_keys(config: Config, camera_id: CameraId) -> CurveClient | None:
    """A camera worker's keys: `CAMERA.secret` if there is one, else `worker.secret`.

    Raises:
        TransportError: They are configured and cannot be read.
    """
    folder = config.transport.curve
    if folder is None:
        return None
    own = folder / f"{camera_id}.secret"
    secret = own if own.exists() else Path(folder / "worker.secret")
    return CurveClient(load_keys(secret), load_public_key(folder / "matcher.public"))


def listen(
    config: Config, *, epoch: int, counters: ReceiverCounters, warn: Callable[..., None]
) -> Receiver:
    """Open the matcher's end.

    Args:
        config: Address, keys, window, and which cameras may say Hello.
        epoch: Number of this matcher process.
        counters: Where everything is counted.
        warn: Logs an event with values; what repeats is logged seldom.

    Raises:
        TransportError: The address or the keys cannot be used.
    """
    known, clock = frozenset(config.camera_ids), SystemClock()
    rejected = Throttle(
        lambda reason, times: warn("message rejected", reason=reason, times=times), clock=clock
    )
    refused = Throttle(
        lambda reason, times: warn("connection refused", reason=reason, times=times), clock=clock
    )
    return open_receiver(
        matcher_endpoint(config),
        epoch=epoch,
        counters=counters,
        window=config.transport.window,
        curve=server_keys(config),
        on_rejected=lambda error: rejected(str(error), kind=error.reason),
        on_refused=refused,
        knows=known.__contains__,
    )
