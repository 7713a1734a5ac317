"""What the engine remembers about the tracks that may still change or be linked to."""

import math
from dataclasses import dataclass, field

from streamreid.association.constraints import Span
from streamreid.types import CameraId, CropKey, TimeSource, TrackKey


@dataclass(frozen=True, slots=True)
class Entry:
    """One crop of a track in the gallery: id, capture time (epoch seconds), quality in [0, 1]."""

    entry_id: CropKey
    captured_at_s: float
    quality: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """The track of one camera that looks most like a given one, and who comes second.

    Attributes:
        track: The most alike.
        logit: Appearance logit of the pair.
        second: The runner-up; None without.
        second_logit: Appearance logit with it.
    """

    track: TrackKey
    logit: float
    second: TrackKey | None = None
    second_logit: float = -math.inf

    @property
    def margin(self) -> float:
        """By how much the first is ahead of the second."""
        return self.logit - self.second_logit

    def with_score(self, track: TrackKey, logit: float) -> "Likeness":
        """The same after one more pair was scored, or scored again."""
        ranked = {self.track: self.logit, track: logit}
        if self.second is not None and self.second != track:
            ranked[self.second] = self.second_logit
        (first, *rest) = sorted(ranked.items(), key=lambda item: (-item[1], item[0]))
        return Likeness(*first, *rest[0]) if rest else Likeness(*first)


@dataclass(slots=True)
class Track:
    """One track: its span, its crops, and how far it has got on the way to a final decision.

    Attributes:
        key: Row id.
        camera_id: Its camera.
        started_at_s: First detection, epoch seconds.
        seen_at_s: Latest detection, epoch seconds.
        ended: Whether it was closed.
        final: Whether only an operator can change its identity.
        time_source: Where the camera's times come from.
        entries: Its crops, by id.
        scored_with: The crops it was last scored with.
        scored_count: How many crops it had then.
        listed: Whether it takes part in co-occurrence.
        alike: Whom it looks most like so far, per camera.
    """

    key: TrackKey
    camera_id: CameraId
    started_at_s: float
    seen_at_s: float
    ended: bool = False
    final: bool = False
    time_source: TimeSource = "file"
    entries: dict[CropKey, Entry] = field(default_factory=dict)
    scored_with: tuple[CropKey, ...] = ()
    scored_count: int = 0
    listed: bool = False
    alike: dict[CameraId, Likeness] = field(default_factory=dict)

    @property
    def order(self) -> tuple[float, TrackKey]:
        """Sorts tracks by when they began."""
        return (self.started_at_s, self.key)

    def span(self) -> Span:
        """Where and when it was seen so far."""
        return Span(self.key, self.camera_id, self.started_at_s, self.seen_at_s)

    def compared(self, other: TrackKey, camera: CameraId, logit: float) -> None:
        """Take in how much it looks like a track of some camera."""
        known = self.alike.get(camera)
        self.alike[camera] = (
            Likeness(other, logit) if known is None else known.with_score(other, logit)
        )

    def most_alike(self) -> Likeness | None:
        """The track of any camera that looks most like it."""
        return max(self.alike.values(), key=lambda one: (one.logit, -one.track), default=None)

    def chooses(self, other: TrackKey) -> bool:
        """Whether another track looks most like it among those of all cameras."""
        best = self.most_alike()
        return best is not None and best.track == other

    def best(self, count: int) -> tuple[CropKey, ...]:
        """Ids of its best crops by quality, at most `count`, in order of id."""
        ranked = sorted(self.entries.values(), key=lambda entry: (-entry.quality, entry.entry_id))
        return tuple(sorted(entry.entry_id for entry in ranked[:count]))

    def needs_scoring(self, count: int) -> bool:
        """Whether it changed enough: at first, when its crops doubled, and at the end."""
        grown = len(self.entries)
        if grown == self.scored_count:
            return False
        if not self.ended and self.scored_count > 0 and grown < 2 * self.scored_count:
            return False
        if self.best(count) == self.scored_with:
            self.scored_count = grown
            return False
        return True
