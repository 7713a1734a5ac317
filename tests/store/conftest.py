"""Databases of these tests live in memory: they are about rows and faults, not about a disk."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of this test's own, in shared memory where there is such a thing."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="streamreid-store-", dir=place) as folder:
        yield Path(folder)
