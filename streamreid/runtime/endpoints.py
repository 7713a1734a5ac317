"""Where the processes of one run meet: the address of the matcher and the keys to it."""

from pathlib import Path

from streamreid.config.models import Config
from streamreid.transport.keys import CurveClient, CurveServer, load_keys, load_public_key
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
