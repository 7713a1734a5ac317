"""Whom a track was compared with, as bytes in its row: pairs of track id and score."""

from collections.abc import Sequence

import numpy as np

from streamreid.errors import StoreError
from streamreid.types import TrackKey

_PAIR = np.dtype([("track", "<i8"), ("score", "<f8")])


def pack_scores(scores: Sequence[tuple[TrackKey, float]]) -> bytes | None:
    """Bytes for the store; None for a track that was compared with nobody."""
    return np.array(list(scores), _PAIR).tobytes() if scores else None


def read_scores(track: TrackKey, data: bytes | None) -> tuple[tuple[TrackKey, float], ...]:
    """What `pack_scores` was given.

    Args:
        track: Whose row it is, for the error.
        data: The bytes.

    Raises:
        StoreError: If these are no such pairs.
    """
    if data is None:
        return ()
    pairs = np.frombuffer(data, _PAIR) if len(data) % _PAIR.itemsize == 0 else None
    if pairs is None or not np.isfinite(pairs["score"]).all():
        raise StoreError(
            f"row {track} of table tracks: {len(data)} bytes in column compared are no pairs of "
            "track id and score; set it to NULL, its neighbours are then found anew"
        )
    return tuple(pairs.tolist())
