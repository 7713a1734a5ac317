"""How long people take from one sighting to the next, whoever they are.

Two tracks that look alike may lie hours apart: the times of such pairs (`TransitionModel` of the
decisions) tell how any two tracks of one person lie. Here only the step from a person's latest
sighting to the next one counts. It is what an operator means by "from the door to the hall
people take ten seconds", and it tells whether two identities take turns as one person would.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from streamreid.engine.probation import Probation
from streamreid.engine.tracks import Track
from streamreid.tlift.transition import TransitionModel
from streamreid.types import CameraId

_LEAST_SUPPORT = 3.0
_LATEST = 8
_MOST = 3.0


@dataclass(slots=True)
class Passages:
    """Learned steps between sightings, and whether they tell people apart at this site.

    Attributes:
        model: The learned times.
        help: Their probation.
    """

    model: TransitionModel = field(default_factory=TransitionModel)
    help: Probation = field(default_factory=Probation)

    def learn(
        self, track: Track, next_to: Track, others: Sequence[Track], *, belief: float, at_s: float
    ) -> bool:
        """Take in a person's step from one sighting to the next.

        Args:
            track: A track that became final.
            next_to: The person's sighting right before or after it.
            others: Tracks that do not look like the track.
            belief: Appearance probability that both are one person.
            at_s: Event time now, epoch seconds.

        Returns:
            Whether it was taken: not when frozen or out of range.
        """
        own = self._log_ratio(*in_order(track, next_to), at_s)
        rest = [self._log_ratio(*in_order(track, other), at_s) for other in others]
        usual = [value for value in rest if value is not None]
        if own is not None and usual:
            self.help.observe(own - float(np.mean(usual)))
        for other in others:
            self.model.learn_background(passage(track, other)[2], at_s=at_s)
        return self.model.learn(*passage(track, next_to), at_s=at_s, weight=belief)

    def taking_turns(
        self,
        ours: Sequence[Track],
        theirs: Sequence[Track],
        moved: frozenset[CameraId],
        *,
        at_s: float,
    ) -> float:
        """Whether two identities take turns in the cameras as one person would.

        Args:
            ours: Tracks of one identity.
            theirs: Tracks of the other.
            moved: Cameras whose clock seems to have moved; their steps say nothing.
            at_s: Event time now, epoch seconds.

        Returns:
            Log likelihood ratio of the latest steps from one identity to the other, one person
            against any two; 0 without evidence.
        """
        if not self.help.passed:
            return 0.0
        sides = [(track, 0) for track in ours] + [(track, 1) for track in theirs]
        sides.sort(key=lambda side: side[0].order)
        values = [
            self._log_ratio(one, other, at_s)
            for (one, first), (other, second) in pairwise(sides)
            if first != second and not moved & {one.camera_id, other.camera_id}
        ]
        known = [max(min(value, _MOST), -_MOST) for value in values if value is not None]
        return sum(known[-_LATEST:])

    def _log_ratio(self, earlier: Track, later: Track, at_s: float) -> float | None:
        source, target, delta_s = passage(earlier, later)
        if self.model.support(source, target, at_s=at_s) < _LEAST_SUPPORT:
            return None
        return self.model.log_ratio(source, target, delta_s, at_s=at_s)


def in_order(first: Track, second: Track) -> tuple[Track, Track]:
    """Two tracks, whichever started earlier first."""
    return (first, second) if first.order < second.order else (second, first)


def passage(first: Track, second: Track) -> tuple[CameraId, CameraId, float]:
    """From which camera to which, and the seconds between: start(later) - end(earlier).

    Args:
        first: One track.
        second: Another; whichever started earlier is where the person came from.
    """
    earlier, later = in_order(first, second)
    return earlier.camera_id, later.camera_id, later.started_at_s - earlier.seen_at_s
