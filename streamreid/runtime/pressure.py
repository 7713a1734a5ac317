"""What a live camera gives up first when the matcher cannot keep up; pure rules, no queue.

The order is fixed: first fewer frames are given to the detector, then fewer crops of each track are
sent, then tracks that start now send none. Everything that is given up is counted.
"""

from dataclasses import dataclass, field
from typing import Literal

from streamreid.types import Crop, TrackId

Level = Literal[0, 1, 2, 3]
"""0 none, 1 every second frame, 2 also fewer crops, 3 also no crops of new tracks."""

_RISE: dict[Level, float] = {1: 0.25, 2: 0.5, 3: 0.75}
"""How full the outbox must be for each level."""
_FALL = 0.5
"""A level ends when the outbox is emptier than this share of what began it: no flutter."""

_SPARSE_S = 8.0


@dataclass(slots=True)
class Pressure:
    """Remembers the level and what was let through.

    Attributes:
        level: How much is given up now.
        withheld_tracks: Tracks that began under the highest level and send no crops.
    """

    level: Level = 0
    withheld_tracks: set[TrackId] = field(default_factory=set)
    _last_sent_s: dict[TrackId, float] = field(default_factory=dict)
    _odd: bool = False

    def update(self, fill: float) -> Level:
        """Set the level from how full the outbox is.

        Args:
            fill: Fullest of the outboxes, in [0, 1].
        """
        level: Level = 0
        for number, rise in _RISE.items():
            if fill >= rise * (_FALL if self.level >= number else 1.0):
                level = number
        self.level = level
        return level

    def take_frame(self) -> bool:
        """Whether the next sampled frame goes to the detector."""
        self._odd = not self._odd
        return self.level < 1 or self._odd

    def admit(self, crop: Crop) -> bool:
        """Whether a crop is sent; the first crop of a track counts more than any other."""
        last_s = self._last_sent_s.get(crop.track_id)
        if crop.track_id in self.withheld_tracks:
            return False
        if last_s is None and self.level >= 3:
            self.withheld_tracks.add(crop.track_id)
            return False
        if last_s is not None and self.level >= 2 and crop.captured_at_s - last_s < _SPARSE_S:
            return False
        self._last_sent_s[crop.track_id] = crop.captured_at_s
        return True

    def forget(self, track_id: TrackId) -> None:
        """A track ended."""
        self._last_sent_s.pop(track_id, None)
        self.withheld_tracks.discard(track_id)
