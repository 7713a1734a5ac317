"""Where detector weights are found: a path, our cache, or the publisher's release page."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streamreid.errors import WeightsError

if TYPE_CHECKING:
    import urllib.request

RELEASE_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
"""Where ultralytics publishes its weights."""

CONNECT_TIMEOUT_S = 5.0

_PUBLISHED = re.compile(r"^yolo(26|12|11|v8)[nsmlx]\.pt$")
_MAX_BYTES = 500_000_000
_CHUNK = 1 << 18

Report = Callable[[str], None]
"""Tells the user one line."""


def default_cache_dir() -> Path:
    """Folder for downloaded weights and exports: `$STREAMREID_CACHE`, else below `~/.cache`."""
    configured = os.environ.get("STREAMREID_CACHE")
    if configured:
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "streamreid"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal.

    Args:
        path: The file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_weights(
    weights: str, *, cache_dir: Path, allow_download: bool, report: Report
) -> Path | None:
    """Find detector weights.

    Args:
        weights: A path, or the name of published weights such as `yolo26n.pt`.
        cache_dir: Our cache.
        allow_download: Whether published weights may be fetched now.
        report: Told what is fetched from where.

    Returns:
        The file, or None if there is none.
    """
    try:
        path = Path(weights).expanduser()
    except RuntimeError:
        # `~name` of nobody is no file.
        return None
    if path.is_file():
        return path
    if path.name != weights:
        return None
    cached = cache_dir / "weights" / path.name
    if cached.is_file():
        return cached
    if not allow_download or not _PUBLISHED.match(weights):
        return None
    return _download(RELEASE_URL + weights, cached, report)


def check_sha256(path: Path, expected: str | None) -> str:
    """Compare a file with the digest that the user pinned.

    Args:
        path: The weights.
        expected: SHA-256 in hexadecimal, or None to accept any.

    Returns:
        The digest of the file.

    Raises:
        WeightsError: It is another file.
    """
    found = file_sha256(path)
    if expected is not None and found != expected.strip().lower():
        raise WeightsError(
            f"'{path}' has SHA-256 {found}, but detector.sha256 pins {expected}; get the file "
            "again, or change the pin if you trust this one"
        )
    return found


def _download(url: str, target: Path, report: Report) -> Path | None:
    # Brings TLS along, 5 MiB that a camera worker never needs.
    import urllib.error
    import urllib.request

    report(f"downloading {url}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        # The address is a constant of this module plus a name that matched a pattern.
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as answer:  # noqa: S310
            _receive(answer, partial, report)
        partial.replace(target)
    except (urllib.error.URLError, OSError, ValueError) as error:
        partial.unlink(missing_ok=True)
        report(f"cannot download {url}: {error}")
        return None
    report(f"stored as {target}, SHA-256 {file_sha256(target)}")
    return target


def _receive(answer: "urllib.request._UrlopenRet", partial: Path, report: Report) -> None:
    total = int(answer.headers.get("Content-Length") or 0)
    received, told = 0, 0
    with partial.open("wb") as file:
        while chunk := answer.read(_CHUNK):
            received += len(chunk)
            if received > _MAX_BYTES:
                raise ValueError(f"more than {_MAX_BYTES} bytes")
            file.write(chunk)
            tenth = 10 * received // total if total else 0
            if tenth > told:
                told = tenth
                report(f"{received / 1e6:.1f} of {total / 1e6:.1f} MB")
    if total and received != total:
        raise ValueError(f"ended after {received} of {total} bytes")
