"""Puts events into the order of their own time, whatever order they arrive in."""

import heapq
import math

from streamreid.engine.events import CropAdded, RestoredTrack, TrackClosed, TrackSeen

TrackEvent = CropAdded | TrackSeen | TrackClosed
_KIND = {TrackSeen: 0, CropAdded: 1, TrackClosed: 2}


def event_time_s(event: TrackEvent) -> float:
    """When the thing that an event reports happened, epoch seconds."""
    if isinstance(event, CropAdded):
        return event.captured_at_s
    if isinstance(event, TrackSeen):
        return event.seen_at_s
    return event.ended_at_s


def events_of(row: RestoredTrack) -> list[TrackEvent]:
    """What was reported about a track that the store remembers, as far as it is still known."""
    found: list[TrackEvent] = [
        CropAdded(
            row.track, row.camera_id, entry_id, time_s, row.started_at_s, quality, row.time_source
        )
        for entry_id, time_s, quality in zip(
            row.entry_ids, row.entry_times_s, row.entry_qualities, strict=True
        )
    ]
    found += [
        TrackSeen(row.track, row.camera_id, row.started_at_s, time_s)
        for time_s in (*row.seen_times_s, row.seen_at_s)
    ]
    if row.ended:
        found.append(
            TrackClosed(row.track, row.camera_id, row.started_at_s, row.seen_at_s, "restored")
        )
    return found


def _order(event: TrackEvent) -> tuple[float, str, int, int, int]:
    entry = int(event.entry_id) if isinstance(event, CropAdded) else 0
    return (event_time_s(event), event.camera_id, _KIND[type(event)], int(event.track), entry)


class Inbox:
    """A heap of events by their own time, camera, kind, track and crop; arrival plays no part."""

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[float, str, int, int, int], int, TrackEvent]] = []
        self._count = 0

    def push(self, event: TrackEvent) -> None:
        """Add an event."""
        self._count += 1
        heapq.heappush(self._heap, (_order(event), self._count, event))

    def pop_before(self, time_s: float) -> TrackEvent | None:
        """The earliest event before `time_s`, or None."""
        if self._heap and self._heap[0][0][0] < time_s:
            return heapq.heappop(self._heap)[2]
        return None

    def earliest_s(self) -> float:
        """Time of the earliest event; infinity when there is none."""
        return self._heap[0][0][0] if self._heap else math.inf

    def __len__(self) -> int:
        return len(self._heap)
