"""Which addresses may be used, and which need encryption."""

import ipaddress
import re
from pathlib import Path

from streamreid.errors import TransportError

_TCP = re.compile(r"tcp://(?P<host>[A-Za-z0-9.*_:\-]+|\[[0-9A-Fa-f:.%a-z]+\]):(?P<port>\d{1,5}|\*)")
_MAX_IPC_PATH_BYTES = 107


def check_endpoint(endpoint: str, *, encrypted: bool) -> None:
    """Refuse addresses that cannot work or are open to strangers.

    Args:
        endpoint: `ipc://PATH` or `tcp://HOST:PORT`.
        encrypted: True when CURVE keys are configured.

    Raises:
        TransportError: It is of another form, or off loopback without keys.
    """
    if endpoint.startswith("ipc://"):
        _check_ipc_path(endpoint.removeprefix("ipc://"))
        return
    match = _TCP.fullmatch(endpoint)
    if match is None:
        raise TransportError(
            f"transport endpoint '{endpoint}' must be ipc://PATH or tcp://HOST:PORT"
        )
    if not encrypted and not is_loopback(match["host"]):
        raise TransportError(
            f"transport endpoint '{endpoint}' is reachable from other machines, so it needs "
            "encryption: set transport.curve to a folder of keys (`streamreid keys create` makes "
            "it), or use an address of this machine such as tcp://127.0.0.1:5577"
        )


def is_loopback(host: str) -> bool:
    """True when `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False


def prepare_ipc_folder(endpoint: str) -> None:
    """Make the folder of an ipc socket, or check that nobody else may enter it.

    Raises:
        TransportError: The folder cannot be made, or others may enter it.
    """
    if not endpoint.startswith("ipc://"):
        return
    folder = Path(endpoint.removeprefix("ipc://")).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode & 0o777
    except OSError as exc:
        raise TransportError(f"cannot make the socket folder '{folder}': {exc.strerror}") from exc
    if mode & 0o077:
        raise TransportError(
            f"socket folder '{folder}' has mode {mode:04o}, others may enter it: chmod 700 it"
        )


def _check_ipc_path(path: str) -> None:
    """Refuse abstract sockets, which have no owner, and paths that the system cuts off."""
    if not path or path.startswith("@") or path == "*":
        raise TransportError(f"ipc endpoint 'ipc://{path}' must name a file")
    size = len(path.encode())
    if size > _MAX_IPC_PATH_BYTES:
        raise TransportError(
            f"ipc path '{path}' has {size} bytes, the system takes {_MAX_IPC_PATH_BYTES}: "
            "use a shorter run folder"
        )
