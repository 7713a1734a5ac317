"""Where real research data and weights lie, if they are here; tests skip without them."""

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[1]


def shared_path(relative: str) -> Path:
    """Path below `$STREAMREID_SHARED` (default: `shared` beside the repository), or skip the test.

    Args:
        relative: Path below the shared folder, such as `weights/yolo26n.pt`.
    """
    root = Path(os.environ.get("STREAMREID_SHARED", _REPOSITORY.parent / "shared"))
    path = root / relative
    if not path.exists():
        pytest.skip(f"research data '{relative}' is not on this machine (set STREAMREID_SHARED)")
    return path
