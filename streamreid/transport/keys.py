"""CURVE keys on disk: who may connect to the matcher, and who the matcher is.

A key pair is two small text files, `NAME.public` and `NAME.secret`; the secret one has mode 0600
and is refused when others may read it. The allow-list is a folder of `.public` files: adding or
removing one takes effect within seconds, without a restart.
"""

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from streamreid.errors import TransportError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADS = {"public": "streamreid-curve-public", "secret": "streamreid-curve-secret"}
_MAX_KEY_FILE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair in Z85 text; the secret half never shows in a repr."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CurveServer:
    """What the matcher needs to accept encrypted connections.

    Attributes:
        keys: The matcher's own pair.
        allowed: Folder of `.public` files of those who may connect.
    """

    keys: KeyPair
    allowed: Path


@dataclass(frozen=True, slots=True)
class CurveClient:
    """What a worker needs to connect.

    Attributes:
        keys: The worker's own pair.
        server_public: The matcher's public key.
    """

    keys: KeyPair
    server_public: bytes


def create_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a new key pair.

    Args:
        folder: Where to put it; made with mode 0700 when missing.
        name: Name of both files and of the peer in logs.

    Returns:
        Paths of the public and of the secret file.

    Raises:
        TransportError: The name is no name, or the files exist already.
    """
    if _NAME.fullmatch(name) is None:
        raise TransportError(f"key name {name[:80]!r} must match [A-Za-z0-9_-]{{1,64}}")
    public, secret = zmq.curve_keypair()
    paths = folder / f"{name}.public", folder / f"{name}.secret"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, part, key, mode in (
            (paths[1], "secret", secret, 0o600),
            (paths[0], "public", public, 0o644),
        ):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(f"{_HEADS[part]} ".encode() + key + b"\n")
    except FileExistsError as exc:
        raise TransportError(
            f"key file '{exc.filename}' exists already: choose another name or remove it"
        ) from exc
    except OSError as exc:
        raise TransportError(f"cannot write keys in '{folder}': {exc.strerror}") from exc
    return paths


def load_keys(secret_path: Path) -> KeyPair:
    """Read a secret key file; the public half follows from it.

    Raises:
        TransportError: It cannot be read, is no key, or others may read it.
    """
    try:
        mode = stat.S_IMODE(secret_path.stat().st_mode)
    except OSError as exc:
        raise TransportError(
            f"cannot read key file '{secret_path}': {exc.strerror}; "
            "make one with `streamreid keys create`"
        ) from exc
    if mode & 0o077:
        raise TransportError(
            f"key file '{secret_path}' has mode {mode:04o}, others may read it: chmod 600 it"
        )
    secret = _read_key(secret_path, "secret")
    return KeyPair(public=zmq.curve_public(secret), secret=secret)


def load_public_key(path: Path) -> bytes:
    """Read a public key file.

    Raises:
        TransportError: It cannot be read or is no public key.
    """
    return _read_key(path, "public")


def allowed_keys(folder: Path) -> dict[bytes, str]:
    """Public keys in an allow-list folder, with the name of each; damaged files allow nobody."""
    keys = {}
    for path in sorted(folder.glob("*.public")):
        try:
            keys[_read_key(path, "public")] = path.stem
        except TransportError:
            continue
    return keys


def _read_key(path: Path, part: str) -> bytes:
    """Key of one file, 40 characters of Z85."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_KEY_FILE_BYTES)
    except OSError as exc:
        raise TransportError(f"cannot read key file '{path}': {exc.strerror}") from exc
    head, _, key = text.strip().partition(b" ")
    if head != _HEADS[part].encode() or len(key) != 40:
        raise TransportError(
            f"'{path}' is no {part} key of streamreid: expected '{_HEADS[part]} <40 characters>'"
        )
    return key
