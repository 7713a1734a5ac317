"""Who looks like the same others: k-reciprocal re-ranking on short lists that grow with the stream.

The idea of Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding", CVPR
2017, bounded as qaconv_tlift.md 11.7 asks: every track keeps its nearest neighbours only, updated
by every new score on both sides, and similarity is computed for compared pairs only.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

from streamreid.types import TrackKey


@dataclass(frozen=True, slots=True)
class NeighbourSettings:
    """How neighbourhoods are formed.

    Attributes:
        count: Neighbours of a track (k1).
        expand: Nearest neighbours whose own neighbourhoods are mixed in (k2).
        mix: Share of those, in [0, 1].
        sharpness: How fast a neighbour's weight falls with its appearance logit.
        reference: Appearance logit from which a neighbour weighs as much as the track itself. It is
            absolute, so that two strangers on an empty site share next to nothing.
    """

    count: int = 15
    expand: int = 4
    mix: float = 0.5
    sharpness: float = 0.5
    reference: float = -1.0

    def __post_init__(self) -> None:
        if self.count < 1 or self.expand < 0 or not 0 <= self.mix <= 1 or self.sharpness <= 0:
            raise ValueError(
                "count must be at least 1, expand at least 0, mix in [0, 1] and sharpness above "
                f"0; got {self.count}, {self.expand}, {self.mix}, {self.sharpness}"
            )


class NeighbourGraph:
    """The nearest neighbours of every track by appearance, and what two have in common."""

    def __init__(self, settings: NeighbourSettings) -> None:
        self._settings = settings
        self._lists: dict[TrackKey, dict[TrackKey, float]] = {}
        self._nearest: dict[TrackKey, dict[TrackKey, float]] = {}
        self._own: dict[TrackKey, dict[TrackKey, float]] = {}
        self._expanded: dict[TrackKey, dict[TrackKey, float]] = {}
        self._users: dict[TrackKey, set[TrackKey]] = {}

    def __len__(self) -> int:
        return len(self._lists)

    def add(self, first: TrackKey, second: TrackKey, logit: float) -> None:
        """Enter or replace the appearance logit of a pair."""
        for one, other in ((first, second), (second, first)):
            row = self._lists.setdefault(one, {})
            row[other] = logit
            if len(row) > 2 * self._settings.count:
                self._lists[one] = self._top(row)
            near = self._nearest.get(one, {})
            if (
                other in near
                or len(near) < self._settings.count
                or logit >= next(reversed(near.values()))
            ):
                self._outdate(one, row)

    def forget(self, track: TrackKey) -> None:
        """Drop a track; in the lists of others its place becomes free."""
        if track not in self._lists:
            return
        row = self._lists.pop(track)
        self._outdate(track, row)
        for other in row:
            self._outdate(other, self._lists.get(other, {}))

    def _outdate(self, track: TrackKey, row: Iterable[TrackKey]) -> None:
        """A nearest list has changed: work out again, when asked, what depends on it.

        That is what its owner has in common with those who were in it and those who may enter it
        from the longer list (`row`). Everything else stays as it is known, so that a score costs
        the same however many tracks there are.
        """
        near = self._nearest.pop(track, ())
        if not self._own:
            self._users.clear()
            return
        for one in (track, *near, *row):
            self._own.pop(one, None)
            for user in self._users.pop(one, ()):
                self._expanded.pop(user, None)

    def similarity(self, first: TrackKey, second: TrackKey) -> float:
        """Share of their neighbourhoods that two tracks have in common (Jaccard), in [0, 1]."""
        one, other = self._neighbourhood(first), self._neighbourhood(second)
        if len(other) < len(one):
            one, other = other, one
        common = sum(min(weight, other[key]) for key, weight in one.items() if key in other)
        return common / (2.0 - common)

    def _neighbourhood(self, track: TrackKey) -> dict[TrackKey, float]:
        """Own mutual neighbours, mixed with those of the nearest; weights sum to 1."""
        if track not in self._lists:
            return {track: 1.0}
        found = self._expanded.get(track)
        if found is None:
            found = self._mixed(track)
            self._expanded[track] = found
        return found

    def _mixed(self, track: TrackKey) -> dict[TrackKey, float]:
        settings = self._settings
        own = self._mutual(track)
        near = [key for key in self._near(track) if key in self._lists][: settings.expand]
        for key in (track, *near):
            self._users.setdefault(key, set()).add(track)
        if not near or settings.mix == 0:
            return own
        result = {key: (1 - settings.mix) * weight for key, weight in own.items()}
        for key in near:
            for other, weight in self._mutual(key).items():
                result[other] = result.get(other, 0.0) + settings.mix * weight / len(near)
        return result

    def _mutual(self, track: TrackKey) -> dict[TrackKey, float]:
        """Neighbours that have the track among theirs, and the track itself; weights sum to 1."""
        found = self._own.get(track)
        if found is not None:
            return found
        settings = self._settings
        near = self._near(track)
        weights = {track: 1.0}
        for key, logit in near.items():
            if track in self._near(key):
                weights[key] = math.exp(settings.sharpness * min(logit - settings.reference, 0.0))
        total = sum(weights.values())
        found = {key: weight / total for key, weight in weights.items()}
        self._own[track] = found
        return found

    def _near(self, track: TrackKey) -> dict[TrackKey, float]:
        """The nearest neighbours, nearest first."""
        found = self._nearest.get(track)
        if found is None and track in self._lists:
            row = self._lists[track]
            found = self._top({key: row[key] for key in row if key in self._lists})
            self._nearest[track] = found
        return found or {}

    def _top(self, row: dict[TrackKey, float]) -> dict[TrackKey, float]:
        best = heapq.nsmallest(
            self._settings.count, row.items(), key=lambda item: (-item[1], item[0])
        )
        return dict(best)
