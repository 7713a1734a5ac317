"""What a report shows, taken from the store in one look: frozen values without any markup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamreid.association.ledger import Decision
from streamreid.store.reader import StoreReader
from streamreid.store.views import CameraRow, CounterRow, IdentityRow, RunRow, TrackRow
from streamreid.types import CameraId, IdentityId, TrackKey


@dataclass(frozen=True, slots=True)
class Picture:
    """One crop: a JPEG and when it was taken."""

    jpeg: bytes
    captured_at_s: float
    quality: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """One track of a person.

    Attributes:
        track: The track.
        transit_s: Seconds since the person left the camera before; negative while both saw the
            person; None for the first sighting.
        decision: The last row of the ledger about it, None while undecided.
        pictures: A few crops, in order of time.
    """

    track: TrackRow
    transit_s: float | None
    decision: Decision | None
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """One identity with its sightings in order of time and its whole ledger."""

    identity: IdentityRow
    sightings: tuple[Sighting, ...]
    ledger: tuple[Decision, ...]

    @property
    def cameras(self) -> tuple[CameraId, ...]:
        """The cameras that saw the person, each once, in order of the first time."""
        return tuple(dict.fromkeys(sighting.track.camera_id for sighting in self.sightings))


@dataclass(frozen=True, slots=True)
class Way:
    """How people went from one camera to the next."""

    from_camera_id: CameraId
    to_camera_id: CameraId
    transits_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median seconds between leaving one camera and entering the other."""
        ordered = sorted(self.transits_s)
        middle = len(ordered) // 2
        return (ordered[middle] + ordered[~middle]) / 2.0


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        name: File name of the store.
        span_s: First and last capture time, None when the store has no track.
        people: Identities, most recent last; at most as many as were asked for.
        people_in_all: How many identities the store has.
        tracks: Every track.
        undecided: Tracks without an identity.
        cameras: Every camera.
        counters: Messages per camera and kind.
        ways: Between which cameras people went.
        runs: Starts of the matcher.
        decisions: Rows of the ledger.
    """

    name: str
    span_s: tuple[float, float] | None
    people: tuple[Person, ...]
    people_in_all: int
    tracks: tuple[TrackRow, ...]
    undecided: tuple[TrackRow, ...]
    cameras: tuple[CameraRow, ...]
    counters: tuple[CounterRow, ...]
    ways: tuple[Way, ...]
    runs: tuple[RunRow, ...]
    decisions: int

    @property
    def links(self) -> int:
        """Tracks that were joined to a person already known."""
        return len(self.tracks) - len(self.undecided) - self.people_in_all

    @property
    def lost(self) -> int:
        """Messages of any kind that were dropped."""
        return sum(sum(row.dropped.values()) for row in self.counters)


def collect(
    reader: StoreReader, *, max_people: int = 200, pictures_per_sighting: int = 4
) -> ReportData:
    """Read a store.

    Args:
        reader: The store.
        max_people: Most identities to show; those seen in most cameras come first to stay.
        pictures_per_sighting: Most crops for each sighting.

    Returns:
        What the report shows.
    """
    with reader.snapshot():
        identities = reader.identities()
        tracks = reader.tracks()
        ledger = reader.decisions()
        cameras, counters, runs = reader.cameras(), reader.counters(), reader.runs()
        span_s = reader.time_span()
    last = {decision.track: decision for decision in ledger}
    chosen = _chosen([row for row in identities if row.tracks], max_people)
    return ReportData(
        name=reader.path.name,
        span_s=span_s,
        people=tuple(
            Person(
                row,
                _sightings(reader, row.tracks, last, pictures_per_sighting),
                tuple(d for d in ledger if d.track in {t.track for t in row.tracks}),
            )
            for row in chosen
        ),
        people_in_all=sum(bool(row.tracks) for row in identities),
        tracks=tracks,
        undecided=tuple(track for track in tracks if track.identity_id is None),
        cameras=cameras,
        counters=counters,
        ways=_ways(identities),
        runs=runs,
        decisions=len(ledger),
    )


def _chosen(rows: Sequence[IdentityRow], limit: int) -> list[IdentityRow]:
    if len(rows) <= limit:
        return list(rows)
    ranked = sorted(
        rows, key=lambda row: (-len({t.camera_id for t in row.tracks}), -row.last_seen_at_s)
    )
    kept: set[IdentityId] = {row.identity_id for row in ranked[:limit]}
    return [row for row in rows if row.identity_id in kept]


def _sightings(
    reader: StoreReader,
    tracks: Sequence[TrackRow],
    last: Mapping[TrackKey, Decision],
    pictures: int,
) -> tuple[Sighting, ...]:
    found: list[Sighting] = []
    for place, track in enumerate(tracks):
        transit_s = track.started_at_s - tracks[place - 1].ended_at_s if place else None
        crops = sorted(reader.crops(track.track, limit=pictures), key=lambda c: c.captured_at_s)
        found.append(
            Sighting(
                track,
                transit_s,
                last.get(track.track),
                tuple(
                    Picture(crop.jpeg, crop.captured_at_s, crop.quality)
                    for crop in crops
                    if crop.jpeg is not None
                ),
            )
        )
    return tuple(found)


def _ways(identities: Sequence[IdentityRow]) -> tuple[Way, ...]:
    seconds: dict[tuple[CameraId, CameraId], list[float]] = {}
    for row in identities:
        for before, after in zip(row.tracks, row.tracks[1:], strict=False):
            if before.camera_id != after.camera_id:
                key = (before.camera_id, after.camera_id)
                seconds.setdefault(key, []).append(after.started_at_s - before.ended_at_s)
    return tuple(Way(*key, tuple(found)) for key, found in sorted(seconds.items()))
