"""What a camera URL may say: its kind, the options it is opened with, and how it is shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from streamreid.errors import ConfigError, SourceError, mask_credentials

SourceKind = Literal["rtsp", "http", "udp", "tcp", "device", "file", "folder"]

ALLOWED_SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "v4l2", "file")

_KIND_OF_SCHEME: dict[str, SourceKind] = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "http": "http",
    "https": "http",
    "udp": "udp",
    "tcp": "tcp",
}
_STREAM_FORMATS = "mpegts,mpeg,h264,hevc,mjpeg,mpjpeg,matroska,webm,mov,avi"
_FORMATS: dict[SourceKind, str] = {
    "rtsp": "rtsp,sdp",
    "http": _STREAM_FORMATS,
    "udp": "mpegts",
    "tcp": _STREAM_FORMATS,
    "device": "video4linux2,v4l2",
    "file": f"{_STREAM_FORMATS},image2,jpeg_pipe,png_pipe,bmp_pipe,webp_pipe,tiff_pipe",
    "folder": "image2,jpeg_pipe,png_pipe,bmp_pipe,webp_pipe,tiff_pipe",
}
_PROTOCOLS: dict[SourceKind, str] = {
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "http": "http,https,tcp,tls",
    "udp": "udp,rtp",
    "tcp": "tcp",
    "device": "file",
    "file": "file",
    "folder": "file",
}
_MAX_PIXELS = 8192 * 8192
"""Largest picture that is decoded at all: a header may claim any size and memory follows it."""


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """A checked camera URL.

    Attributes:
        kind: How it is opened.
        target: What FFmpeg is given; may hold credentials, so it is never shown.
        shown: The same without credentials, for messages, logs, tables and pages.
        secrets: Parts of `target` that must not appear in any text.
        live: Whether the end of the stream is a disconnect instead of the end.
    """

    kind: SourceKind
    target: str
    shown: str
    secrets: tuple[str, ...]
    live: bool

    def __repr__(self) -> str:
        return f"SourceAddress(kind={self.kind!r}, shown={self.shown!r}, live={self.live})"

    def mask(self, text: str) -> str:
        """`text` without the credentials of this address, however a library wrote them."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def options(self, *, silence_s: float) -> dict[str, str]:
        """FFmpeg options for this kind of source.

        FFmpeg accepts unknown names in silence, so a misspelt one (such as the old `stimeout`)
        would mean no time limit at all; the tests freeze a real server to see that these work.

        Args:
            silence_s: Longest wait for bytes from the network in seconds.
        """
        limit_us = str(int(silence_s * 1e6))
        options = {
            "format_whitelist": _FORMATS[self.kind],
            "protocol_whitelist": _PROTOCOLS[self.kind],
            "max_pixels": str(_MAX_PIXELS),
        }
        if self.kind == "rtsp":
            options |= {"rtsp_transport": "tcp", "timeout": limit_us, "fpsprobesize": "0"}
        elif self.kind == "http":
            # A redirect could point into the local network, where this machine may be trusted.
            options |= {"rw_timeout": limit_us, "max_redirects": "0"}
        elif self.kind == "udp":
            options |= {"timeout": limit_us, "overrun_nonfatal": "1", "fifo_size": "50000"}
        elif self.kind == "tcp":
            options |= {"timeout": limit_us, "rw_timeout": limit_us}
        elif self.kind in ("file", "folder"):
            options |= {"pattern_type": "none", "enable_drefs": "0"}
        return options


def parse_address(
    url: str, *, live: bool | None = None, file_root: Path | None = None
) -> SourceAddress:
    """Check a camera URL or path.

    Args:
        url: URL with one of `ALLOWED_SCHEMES`, a path of a video file, of a folder of pictures,
            or of a V4L2 device below `/dev`.
        live: Force an http(s) source to be treated as a live stream (default) or as a file.
        file_root: When set, files must lie below this folder.

    Returns:
        The checked address.

    Raises:
        ConfigError: The scheme is not allowed, the host is missing, or the path is outside
            `file_root`.
        SourceError: The file or folder does not exist.
    """
    if not url or any(ord(character) < 32 for character in url):
        raise ConfigError(f"camera URL {url!r} is empty or holds control characters")
    scheme = url.split("://", 1)[0].lower() if "://" in url else ""
    if scheme and scheme not in ALLOWED_SCHEMES:
        raise ConfigError(
            f"camera URL '{url}' has scheme '{scheme}'; use one of {', '.join(ALLOWED_SCHEMES)}, "
            "or the path of a file or a folder of pictures"
        )
    if scheme in _KIND_OF_SCHEME:
        return _parse_network(url, scheme, live)
    path = _local_path(url, scheme)
    if scheme == "v4l2" or path.parts[:2] == ("/", "dev"):
        return _parse_device(path)
    if live:
        raise ConfigError(f"'{path}' is a file and cannot be live; leave out `live`")
    return _parse_file(path, file_root)


def _local_path(url: str, scheme: str) -> Path:
    if not scheme:
        return Path(url)
    parts = urlsplit(url)
    if scheme == "file" and parts.netloc not in ("", "localhost"):
        raise ConfigError(
            f"'{url}' names a host; write file:///folder/video.mp4 with three slashes"
        )
    return Path(unquote(parts.netloc + parts.path if scheme == "v4l2" else parts.path))


def _parse_network(url: str, scheme: str, live: bool | None) -> SourceAddress:
    kind = _KIND_OF_SCHEME[scheme]
    rest = url.split("://", 1)[1]
    authority = rest.split("/", 1)[0].split("?", 1)[0]
    userinfo, at, host = authority.rpartition("@")
    if not host:
        raise ConfigError(f"camera URL '{url}' has no host; write {scheme}://HOST[:PORT]/PATH")
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not port.isdigit():
        # Most likely a password with a raw slash; nothing of it may be repeated here.
        raise ConfigError(
            f"a {scheme} camera URL has a port that is no number; write special characters of a "
            "password as %2F (/), %3F (?), %23 (#), %40 (@)"
        )
    if live is False and kind != "http":
        raise ConfigError(f"a {scheme} camera is always live; only http(s) can be read as a file")
    secrets: tuple[str, ...] = ()
    shown = url
    if at:
        password = userinfo.partition(":")[2]
        candidates = (userinfo + "@", userinfo, unquote(userinfo), password, unquote(password))
        # A very short password would blot out innocent text, but it is still a password.
        secrets = tuple(dict.fromkeys(c for c in candidates if c))
        shown = f"{scheme}://***@{rest[len(userinfo) + 1 :]}"
    # An "@" further on may still belong to a password that was not escaped.
    shown = mask_credentials(shown)
    query = url.partition("?")[2]
    if query:
        shown = shown.partition("?")[0] + "?***"
        secrets += (query,)
    return SourceAddress(kind, url, shown, secrets, live is not False)


def _parse_device(path: Path) -> SourceAddress:
    device = path if path.is_absolute() else Path("/dev") / path
    if device.parts[:2] != ("/", "dev") or ".." in device.parts:
        raise ConfigError(f"'{device}' is no device; write v4l2:///dev/video0")
    return SourceAddress("device", str(device), str(device), (), True)


def _parse_file(path: Path, file_root: Path | None) -> SourceAddress:
    try:
        resolved = path.expanduser().resolve()
    except RuntimeError:
        raise ConfigError(f"'{path}' names the home folder of a user that does not exist") from None
    if file_root is not None and not resolved.is_relative_to(file_root.resolve()):
        raise ConfigError(f"'{path}' is outside '{file_root}'; only files below it may be opened")
    if not resolved.exists():
        raise SourceError(
            f"'{path}' does not exist (looked for '{resolved}'); check the url of the camera"
        )
    kind: SourceKind = "folder" if resolved.is_dir() else "file"
    if kind == "file" and not resolved.is_file():
        raise SourceError(f"'{path}' is neither a regular file nor a folder")
    return SourceAddress(kind, str(resolved), str(path), (), False)
