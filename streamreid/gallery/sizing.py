"""How many entries the shortlist needs as the gallery grows, learned from audited queries.

Source: design section 11.6 (conformal size from ranks; calibrate again when the gallery grows).
"""

import math
from collections import deque

from streamreid.gallery.calibration import conformal_size

_REMEMBERED = 3_000
# Places in fewer entries say little: nearly everything is on the shortlist anyway.
_SMALLEST_GALLERY = 500
_PARTS = 1 << 30  # relative places as integers, rounded down: scaling back rounds up


class ShortlistSize:
    """Chooses the shortlist size from the places that the best entries of past queries had.

    A place counts in relation to the gallery of its time. While the gallery grows, places grow at
    most in proportion when new entries are like the old ones, so a size that is scaled up by the
    growth keeps its promise until the next calibration. Such a calibration is due once the gallery
    has doubled: it asks for `fresh` new places, and then forgets the older ones. Galleries of fewer
    than 500 entries teach nothing.

    Args:
        miss_rate: Share of the queries that may lose their best entry, in (0, 1).
        largest: No size exceeds this, whatever was asked for less.
        fresh: Places that a calibration asks for, at least 1.
    """

    def __init__(self, miss_rate: float, *, largest: int = 1024, fresh: int = 100) -> None:
        if not 0.0 < miss_rate < 1.0:
            raise ValueError(f"miss rate must lie between 0 and 1, got {miss_rate}")
        if largest < 1 or fresh < 1:
            raise ValueError(f"largest and fresh must be at least 1, got {largest} and {fresh}")
        self._miss_rate = miss_rate
        self._largest = largest
        self._wanted = fresh
        self._places: deque[float] = deque(maxlen=max(fresh, _REMEMBERED))
        self._fresh = 0
        self._calibrated_for = 0
        self._share: float | None = None

    def note(self, place: int, gallery: int) -> None:
        """Learn the place of one query's best entry.

        Args:
            place: From 1, in the order of the shortlist.
            gallery: Entries that the query could have found, at least `place`.
        """
        if not 1 <= place <= gallery:
            raise ValueError(f"place must lie between 1 and {gallery}, got {place}")
        if gallery < _SMALLEST_GALLERY:
            return
        self._places.append(place / gallery)
        self._fresh += 1
        if self._fresh == self._wanted:
            while len(self._places) > self._wanted:
                self._places.popleft()
        ranks = [math.floor(part * _PARTS) for part in self._places]
        found = conformal_size(ranks, self.promised_miss_rate)
        self._share = None if found is None else found / _PARTS

    def due(self, gallery: int) -> bool:
        """Whether more places are needed than chance audits give: at the start and after doubling.

        Args:
            gallery: Entries now.
        """
        if gallery < _SMALLEST_GALLERY:
            return False
        if gallery > 2 * self._calibrated_for:
            self._calibrated_for = gallery
            self._fresh = 0
        return self._fresh < self._wanted

    def size(self, asked: int, gallery: int) -> int:
        """Entries to put on the shortlist: never fewer than asked for.

        Args:
            asked: What the caller wants at least.
            gallery: Entries now.
        """
        if self._share is None:
            return asked
        return max(asked, min(self._largest, math.ceil(self._share * gallery)))

    @property
    def promised_miss_rate(self) -> float:
        """What `size` keeps: the wanted rate, or the least that this few places can promise."""
        return max(self._miss_rate, 1.0 / (len(self._places) + 1))
