"""When two identities are one person: the mean evidence over their latest tracks."""

import math
from dataclasses import dataclass

import numpy as np

from streamreid.association.assignment import Linkage
from streamreid.association.calibration import sigmoid
from streamreid.types import Float64Array


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """Which identities are held against each other, and by what; comes with the weights.

    Attributes:
        tries: Other identities that a track which has become final may bring up; 0 never joins.
        bridge: How far below the threshold of links (in linkage value) the track may be from an
            identity that it brings up.
        tracks: Latest tracks of each identity that are compared.
        least_pairs: Compared pairs that a join needs.
        least_probability: How sure a join must be where a link need not: a wrong one moves many
            tracks at once.
    """

    tries: int = 2
    bridge: float = 2.0
    tracks: int = 4
    least_pairs: int = 2
    least_probability: float = 0.95

    def __post_init__(self) -> None:
        for name in ("tries", "bridge"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0.0 < self.least_probability < 1.0:
            raise ValueError(f"least_probability must be in (0, 1), got {self.least_probability}")
        for name in ("tracks", "least_pairs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class JoinMap:
    """From the linkage value of two identities to the probability that they are one person.

    Attributes:
        slope: Log odds per unit of the value, above 0.
        offset: Log odds at value 0 of a single pair.
        size: Log odds taken off per e-fold of compared pairs, 0 or more: two identities that grew
            large side by side were told apart often, and joining them would be a large mistake.
        turns: Log odds per unit of the log likelihood ratio that they take turns as one person
            would, 0 or more.
    """

    slope: float = 1.0
    offset: float = 0.0
    size: float = 0.6
    turns: float = 0.0

    def __post_init__(self) -> None:
        if self.slope <= 0 or self.size < 0 or self.turns < 0:
            raise ValueError(
                "slope must be above 0, size and turns at least 0, got "
                f"{self.slope}, {self.size}, {self.turns}"
            )

    def probability(self, value: float, pairs: int, turns: float = 0.0) -> float:
        """Probability that two identities are one person.

        Args:
            value: Their linkage value; `-inf` when nothing is known.
            pairs: Compared pairs of tracks.
            turns: Log likelihood ratio that they take turns as one person would; 0 is neutral.
        """
        if value == -math.inf or pairs < 1:
            return 0.0
        odds = self.slope * value + self.offset - self.size * math.log(pairs)
        return sigmoid(odds + self.turns * turns)


def join_value(log_odds: Float64Array, linkage: Linkage) -> float:
    """Linkage value of two identities.

    Args:
        log_odds: Log odds that a track of one and a track of the other are one person, shape
            `(A, B)`, NaN where they could not be compared.
        linkage: How groups are compared.

    Returns:
        The value; `-inf` when nothing is known.
    """
    known = log_odds[~np.isnan(log_odds)]
    if not len(known):
        return -math.inf
    total = float(np.exp(linkage.sharpness * np.clip(known, -30.0, 30.0)).sum())
    unknown = linkage.missing_weight * (log_odds.size - len(known))
    total += unknown * math.exp(linkage.sharpness * linkage.missing)
    weight = np.array([len(known) + unknown])
    return float(linkage.value_of(np.array([total]), weight)[0])
