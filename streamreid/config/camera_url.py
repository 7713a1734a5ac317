"""Where a camera's pictures come from: allowed schemes, secrets from outside, no leaks."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from streamreid.config.values import expand_path
from streamreid.errors import mask_credentials

SourceKind = Literal["rtsp", "http", "udp", "tcp", "file", "device"]

_KINDS: dict[str, SourceKind] = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "http": "http",
    "https": "http",
    "udp": "udp",
    "tcp": "tcp",
    "file": "file",
    "v4l2": "device",
}
ALLOWED_SCHEMES = tuple(_KINDS)
MAX_URL_CHARS = 2048
MAX_SECRET_BYTES = 4096
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.,\-]*):")
_SECRET = re.compile(r"\{(env|file):([^{}]*)\}")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f/?#@\[\]{}]")


@dataclass(frozen=True, slots=True)
class CameraUrl:
    """A camera's address; only `reveal()` shows its secrets.

    Attributes:
        kind: How it is opened: network stream, file or folder, or a local device.
        safe: The address as written, credentials masked, secrets still `{env:NAME}`.
    """

    kind: SourceKind
    safe: str
    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The complete address with its secrets; for files and devices an absolute path."""
        return self._value

    @property
    def live(self) -> bool:
        """Whether it goes on for ever: frames are then dropped rather than waited for."""
        return self.kind != "file"

    def __str__(self) -> str:
        return self.safe


def parse_camera_url(
    text: str, *, folder: Path, environ: Mapping[str, str] | None = None
) -> CameraUrl:
    """Check a camera's address and fill in its secrets.

    Args:
        text: What stands in the file, such as `rtsp://{env:DOOR_AUTH}@10.0.0.11/stream1`.
        folder: Folder of the configuration file; relative paths start there.
        environ: Where `{env:NAME}` is looked up; None leaves secrets unfilled.

    Returns:
        The address; its `repr` and `str` carry no secret.

    Raises:
        ValueError: If the scheme is not allowed, the address is incomplete, or a secret is missing
            or would change the address's structure.
    """
    if not text.strip() or len(text) > MAX_URL_CHARS:
        raise ValueError(f"needs 1 to {MAX_URL_CHARS} characters")
    whole = _SECRET.fullmatch(text) is not None
    filled = text if environ is None else _fill(text, folder, environ, whole=whole)
    if whole and environ is None:
        return CameraUrl("rtsp", text, text)
    kind, value = _check(filled, folder)
    return CameraUrl(kind, mask_credentials(text), value)


def _fill(text: str, folder: Path, environ: Mapping[str, str], *, whole: bool) -> str:
    def secret(match: re.Match[str]) -> str:
        source, name = match[1], match[2]
        value = _from_environment(name, environ) if source == "env" else _from_file(name, folder)
        if not whole and _UNSAFE_IN_URL.search(value):
            raise ValueError(
                f"the secret {match[0]} holds characters that would change the address; "
                "percent-encode them (@ is %40, / is %2F, a space is %20)"
            )
        return value

    return _SECRET.sub(secret, text)


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise ValueError(f"the environment variable {name!r} is not set; export it before starting")
    return value


def _from_file(name: str, folder: Path) -> str:
    path = expand_path(name, folder)
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            raw = stream.read(MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise ValueError(f"the secret file {name!r} cannot be read: {reason}") from None
    if mode & 0o077:
        raise ValueError(f"the secret file {name!r} can be read by others; run chmod 600 on it")
    try:
        value = raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        value = ""
    if not value or len(raw) > MAX_SECRET_BYTES:
        raise ValueError(f"the secret file {name!r} must hold one short line of text")
    return value


def _check(text: str, folder: Path) -> tuple[SourceKind, str]:
    match = _SCHEME.match(text)
    if match is None:
        return _local(text, folder)
    scheme = match[1].lower()
    if scheme not in _KINDS:
        raise ValueError(
            f"has scheme {match[1]!r}; use {', '.join(ALLOWED_SCHEMES[:-1])} or "
            f"{ALLOWED_SCHEMES[-1]}, or a path (./name when it holds a colon)"
        )
    if _CONTROL.search(text) and scheme not in ("file", "v4l2"):
        raise ValueError("must not hold spaces or control characters; percent-encode them")
    if not text[match.end() :].startswith("//"):
        raise ValueError(f"needs // after {match[1]}:")
    kind = _KINDS[scheme]
    if kind in ("file", "device"):
        return _local(_local_path(text, match.end() + 2), folder, device=kind == "device")
    _check_network(text)
    return kind, text


def _local_path(text: str, start: int) -> str:
    path = text[start:]
    if path.startswith("localhost/"):
        path = path[len("localhost") :]
    if not path.startswith("/"):
        raise ValueError("needs an absolute path, such as file:///videos/lobby.mp4")
    return path


def _local(text: str, folder: Path, *, device: bool = False) -> tuple[SourceKind, str]:
    if any(ord(character) < 32 for character in text):
        raise ValueError("must not hold control characters")
    absolute = Path(os.path.normpath(expand_path(text, folder)))
    if device or (absolute.parent == Path("/dev") and absolute.name.startswith("video")):
        if absolute.parent != Path("/dev"):
            raise ValueError("a v4l2 camera must be a device such as v4l2:///dev/video0")
        return "device", str(absolute)
    if absolute.is_relative_to("/dev/shm"):  # noqa: S108 - shared memory holds ordinary files
        return "file", str(absolute)
    if any(absolute.is_relative_to(root) for root in ("/dev", "/proc", "/sys")):
        raise ValueError("must be a video file, a folder of images or a device /dev/videoN")
    return "file", str(absolute)


def _check_network(text: str) -> None:
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(
            "has no valid host and port; percent-encode special characters in the password"
        ) from None
    if not host:
        raise ValueError("has no host, such as rtsp://10.0.0.11/stream1")
