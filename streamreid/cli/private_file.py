"""Writing files that show people: whole or not at all, and readable by their owner only."""

import os
from pathlib import Path

from streamreid.errors import StoreError


def write_private(path: Path, content: bytes) -> None:
    """Write a file in one step.

    Args:
        path: The file; its folder is made if needed, what was there is replaced.
        content: Its bytes.

    Raises:
        StoreError: If it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror}); choose another place or free some space"
        ) from error
