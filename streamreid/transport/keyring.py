"""The folder of keys of one installation: the matcher's pair, and one pair per host of cameras.

FOLDER/matcher.secret, matcher.public     who the matcher is
FOLDER/worker.secret, worker.public       cameras on the matcher's own machine
FOLDER/allowed/NAME.public                who may connect
FOLDER/hosts/NAME/                        what to copy to another machine, then delete here
"""

import shutil
from pathlib import Path

from streamreid.errors import TransportError
from streamreid.transport.keys import allowed_keys, create_keys, load_public_key

MATCHER = "matcher"
WORKER = "worker"


def create_keyring(folder: Path) -> None:
    """Make the keys of a new installation: matcher, local cameras, allow-list.

    Raises:
        TransportError: There are keys already, or the folder cannot be written.
    """
    create_keys(folder, MATCHER)
    public, _ = create_keys(folder, WORKER)
    _allow(folder, WORKER, public)


def add_host(folder: Path, name: str) -> Path:
    """Make keys for the cameras of another machine and allow them.

    Args:
        folder: The installation's keys.
        name: Name of that machine, for the allow-list and the log.

    Returns:
        Folder to copy to that machine and to name there as `transport.curve`.

    Raises:
        TransportError: The name is taken or no name, or the installation has no keys.
    """
    load_public_key(folder / f"{MATCHER}.public")
    if (folder / "allowed" / f"{name}.public").exists() or name in (MATCHER, WORKER):
        raise TransportError(f"'{name}' has keys already: choose another name or revoke it first")
    host = folder / "hosts" / name
    public, _ = create_keys(host.parent, name)
    host.mkdir(mode=0o700)
    public.rename(host / f"{WORKER}.public")
    public.with_suffix(".secret").rename(host / f"{WORKER}.secret")
    shutil.copyfile(folder / f"{MATCHER}.public", host / f"{MATCHER}.public")
    _allow(folder, name, host / f"{WORKER}.public")
    return host


def revoke(folder: Path, name: str) -> None:
    """Refuse a key; a connection that it has is cut with its next message.

    Raises:
        TransportError: Nobody of that name is allowed.
    """
    known = host_names(folder)
    if name not in known:
        raise TransportError(
            f"'{name}' is not in the allow-list of '{folder}'; allowed: "
            + (", ".join(known) or "nobody")
        )
    (folder / "allowed" / f"{name}.public").unlink()


def host_names(folder: Path) -> list[str]:
    """Names in the allow-list."""
    return sorted(allowed_keys(folder / "allowed").values())


def _allow(folder: Path, name: str, public: Path) -> None:
    """Put a public key into the allow-list."""
    allowed = folder / "allowed"
    try:
        allowed.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(public, allowed / f"{name}.public")
    except OSError as exc:
        raise TransportError(f"cannot write '{allowed}': {exc.strerror}") from exc
