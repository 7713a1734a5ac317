"""What the physical world forbids: one person is never in two places at once."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamreid.types import CameraId, Float64Array, IdentityId, Int64Array, TrackKey

BoolArray = npt.NDArray[np.bool_]
CameraPair = tuple[CameraId, CameraId]


@dataclass(frozen=True, slots=True)
class Span:
    """When and where a track was seen.

    Attributes:
        track: Row id of the track.
        camera_id: Its camera.
        started_at_s: First detection, epoch seconds.
        ended_at_s: Latest detection so far, epoch seconds.
    """

    track: TrackKey
    camera_id: CameraId
    started_at_s: float
    ended_at_s: float


def pair_of(first: CameraId, second: CameraId) -> CameraPair:
    """A camera pair without direction."""
    return (first, second) if first <= second else (second, first)


def overlap(first: Span, second: Span) -> bool:
    """Whether two tracks were there at the same time; instants that touch count."""
    return first.started_at_s <= second.ended_at_s and second.started_at_s <= first.ended_at_s


def conflicts(first: Span, second: Span, disjoint: Iterable[CameraPair] = ()) -> bool:
    """Whether two tracks must be two people.

    Args:
        first: One track.
        second: Another track.
        disjoint: Camera pairs that cannot see one person at once.
    """
    if first.track == second.track or not overlap(first, second):
        return False
    if first.camera_id == second.camera_id:
        return True
    pair = pair_of(first.camera_id, second.camera_id)
    return any(pair_of(*cameras) == pair for cameras in disjoint)


def conflict_table(
    rows: list[Span], columns: list[Span], disjoint: frozenset[CameraPair]
) -> BoolArray:
    """Which of these tracks must be two people, shape `(R, C)`; a track and itself are one.

    Args:
        rows: Some tracks.
        columns: The tracks that they are held against.
        disjoint: Camera pairs that cannot see one person at once.
    """
    names = sorted({span.camera_id for span in (*rows, *columns)})
    number = {name: index for index, name in enumerate(names)}
    exclusive = np.eye(len(names), dtype=np.bool_)
    for first, second in disjoint:
        if first in number and second in number:
            exclusive[number[first], number[second]] = True
            exclusive[number[second], number[first]] = True
    start, end, camera, track = _columns(rows, number)
    other_start, other_end, other_camera, other_track = _columns(columns, number)
    at_once = (start[:, None] <= other_end) & (other_start <= end[:, None])
    at_once &= track[:, None] != other_track
    result: BoolArray = at_once & exclusive[camera[:, None], other_camera]
    return result


def conflict_matrix(spans: list[Span], disjoint: frozenset[CameraPair]) -> BoolArray:
    """Which of these tracks must be two people, shape `(N, N)`, symmetric, False on the diagonal.

    Args:
        spans: The tracks.
        disjoint: Camera pairs that cannot see one person at once.
    """
    return conflict_table(spans, spans, disjoint)


def _columns(
    spans: list[Span], number: dict[CameraId, int]
) -> tuple[Float64Array, Float64Array, Int64Array, Int64Array]:
    """Starts, ends, camera numbers and tracks, shape `(N,)` each."""
    return (
        np.array([span.started_at_s for span in spans], dtype=np.float64),
        np.array([span.ended_at_s for span in spans], dtype=np.float64),
        np.array([number[span.camera_id] for span in spans], dtype=np.int64),
        np.array([span.track for span in spans], dtype=np.int64),
    )


def violations(
    spans: Iterable[tuple[IdentityId, Span]], disjoint: frozenset[CameraPair] = frozenset()
) -> list[tuple[Span, Span]]:
    """Every pair of tracks of one identity that was in two places at once.

    Args:
        spans: Identity and span of every track.
        disjoint: Camera pairs that cannot see one person at once.
    """
    groups: dict[IdentityId, list[Span]] = {}
    for identity_id, span in spans:
        groups.setdefault(identity_id, []).append(span)
    found = []
    for group in groups.values():
        ordered = sorted(group, key=lambda span: (span.started_at_s, span.track))
        for index, first in enumerate(ordered):
            for second in ordered[index + 1 :]:
                if second.started_at_s > first.ended_at_s:
                    break
                if conflicts(first, second, disjoint):
                    found.append((first, second))
    return found
