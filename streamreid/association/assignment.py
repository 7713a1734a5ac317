"""Assigns tracks that wait together, together: rounds of linear assignment under constraints."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from streamreid.association.constraints import BoolArray
from streamreid.types import Float64Array, Int64Array

_FORBIDDEN = 1e6
_LEVELS = (6.0, 4.0, 2.5, 1.5, 0.75, 0.0)
_MAX_ROUNDS_PER_LEVEL = 8


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Which tracks are one person?

    Nodes are tracks, in the order in which the people appeared. Nodes with the same anchor are
    already one identity; different anchors are never joined.

    Attributes:
        log_odds: Log odds that two tracks are one person, shape `(N, N)`, symmetric; NaN where
            nobody compared them.
        anchor: Number of the identity that a track is fixed to, shape `(N,)`, -1 when free.
        conflict: Pairs that must be two people, shape `(N, N)`, symmetric.
    """

    log_odds: Float64Array
    anchor: Int64Array
    conflict: BoolArray

    def __post_init__(self) -> None:
        count = len(self.anchor)
        for name, array in (("log_odds", self.log_odds), ("conflict", self.conflict)):
            if array.shape != (count, count):
                raise ValueError(f"{name} must be ({count}, {count}), got {array.shape}")


@dataclass(frozen=True, slots=True)
class Linkage:
    """How the log odds of single pairs become those of two groups of tracks.

    Two groups are linked with `log(mean(exp(sharpness * log_odds))) / sharpness` over all pairs:
    towards 0 the sharpness gives average linkage, towards infinity the nearest member.

    Attributes:
        sharpness: Above 0.
        missing: Log odds assumed for a pair that no shortlist brought together.
        missing_weight: How much such a pair counts in the mean, in [0, 1].
    """

    sharpness: float = 0.5
    missing: float = -5.0
    missing_weight: float = 0.3

    def __post_init__(self) -> None:
        if self.sharpness <= 0:
            raise ValueError(f"sharpness must be above 0, got {self.sharpness}")
        if not 0 <= self.missing_weight <= 1:
            raise ValueError(f"missing_weight must be in [0, 1], got {self.missing_weight}")

    def pair_terms(self, log_odds: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Summand and weight of every pair in the mean over a pair of groups.

        Args:
            log_odds: Log odds of all pairs, shape `(N, N)`, NaN where unknown.
        """
        unknown = np.isnan(log_odds)
        # Beyond 30 nothing changes the decision, and the exponential stays finite.
        filled = np.clip(np.where(unknown, self.missing, log_odds), -30.0, 30.0)
        weight = np.where(unknown, self.missing_weight, 1.0)
        return weight * np.exp(self.sharpness * filled), weight

    def value_of(self, total: Float64Array, weight: Float64Array) -> Float64Array:
        """Linkage value from summed terms; `-inf` where nothing is known at all."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value: Float64Array = np.log(total / weight) / self.sharpness
        value[weight <= 0] = -np.inf
        return value


class _Groups:
    """Groups of nodes with the sums from which every linkage value follows by addition."""

    def __init__(self, problem: Problem, linkage: Linkage) -> None:
        self.linkage = linkage
        self.member = _initial_groups(problem.anchor)
        total, weight = linkage.pair_terms(problem.log_odds)
        self.total = _summed(_summed(total, self.member, axis=0), self.member, axis=1)
        self.weight = _summed(_summed(weight, self.member, axis=0), self.member, axis=1)
        crowded = _summed(problem.conflict.astype(np.float64), self.member, axis=0)
        self.conflict: BoolArray = _summed(crowded, self.member, axis=1) > 0
        self.anchors = len(np.unique(problem.anchor[problem.anchor >= 0]))
        self.conflict[: self.anchors, : self.anchors] = True
        self.alive = np.ones(len(self.total), dtype=np.bool_)

    def value(self, first: int, second: int) -> float:
        """Linkage value of two groups."""
        pair = slice(second, second + 1)
        return float(self.linkage.value_of(self.total[first, pair], self.weight[first, pair])[0])

    def merge(self, keep: int, gone: int) -> None:
        """Make one group of two."""
        self.total[keep] += self.total[gone]
        self.total[:, keep] += self.total[:, gone]
        self.weight[keep] += self.weight[gone]
        self.weight[:, keep] += self.weight[:, gone]
        self.conflict[keep] |= self.conflict[gone]
        self.conflict[:, keep] |= self.conflict[:, gone]
        self.alive[gone] = False
        self.member[self.member == gone] = keep


def associate(problem: Problem, *, threshold: float, linkage: Linkage) -> Int64Array:
    """Group the tracks into people.

    Every round lets each group choose one earlier group, or none, and each group be chosen once, so
    that the sum of the linkage values above the threshold is largest (linear assignment; people who
    are side by side compete for one identity as a whole). The level falls from sure links to the
    threshold, so that sure ones are made first and later ones see their groups.

    Args:
        problem: The tracks and what is known about their pairs.
        threshold: Log odds from which two groups are one person.
        linkage: How groups are compared.

    Returns:
        Group number of every node, shape `(N,)`; equal numbers are one person.
    """
    if len(problem.anchor) == 0:
        return np.zeros(0, dtype=np.int64)
    groups = _Groups(problem, linkage)
    for level in _LEVELS:
        for _ in range(_MAX_ROUNDS_PER_LEVEL):
            if not _round(groups, threshold + level):
                break
    return groups.member


def _initial_groups(anchor: Int64Array) -> Int64Array:
    """Anchored nodes by anchor first, then one group per free node."""
    anchors = np.unique(anchor[anchor >= 0])
    member = np.full(len(anchor), -1, dtype=np.int64)
    fixed = anchor >= 0
    member[fixed] = np.searchsorted(anchors, anchor[fixed])
    free = np.flatnonzero(~fixed)
    member[free] = len(anchors) + np.arange(len(free))
    return member


def _summed(matrix: Float64Array, member: Int64Array, *, axis: int) -> Float64Array:
    """Sum rows (axis 0) or columns (axis 1) by group; groups are numbered from 0 without gaps."""
    order = np.argsort(member, kind="stable")
    starts = np.searchsorted(member[order], np.arange(int(member[order[-1]]) + 1))
    return np.add.reduceat(np.take(matrix, order, axis=axis), starts, axis=axis)


def _round(groups: _Groups, level: float) -> bool:
    """One linear assignment of groups to earlier groups; True when anything was joined."""
    # Identities come first and never join one another: only free groups choose.
    free = groups.anchors
    bound = np.exp(groups.linkage.sharpness * level)
    possible = (
        (groups.total[free:] >= bound * groups.weight[free:])
        & (groups.weight[free:] > 0)
        & ~groups.conflict[free:]
        & groups.alive[free:, None]
        & groups.alive[None, :]
        & np.tri(len(groups.total) - free, len(groups.total), k=free - 1, dtype=np.bool_)
    )
    rows = np.flatnonzero(possible.any(axis=1))
    if len(rows) == 0:
        return False
    columns = np.flatnonzero(possible.any(axis=0))
    cut = np.ix_(rows + free, columns)
    value = groups.linkage.value_of(groups.total[cut], groups.weight[cut])
    gain = np.where(possible[np.ix_(rows, columns)], value - level + 1e-9, -_FORBIDDEN)
    stay = np.full((len(rows), len(rows)), -_FORBIDDEN)
    np.fill_diagonal(stay, 0.0)
    row_index, column_index = linear_sum_assignment(np.hstack([gain, stay]), maximize=True)
    links = [
        (float(gain[row, column]), int(rows[row]) + free, int(columns[column]))
        for row, column in zip(row_index, column_index, strict=True)
        if column < len(columns)
    ]
    return _join(groups, links, level)


def _join(groups: _Groups, links: list[tuple[float, int, int]], level: float) -> bool:
    """Make the chosen links, surest first, as long as the grown groups still agree."""
    root: dict[int, int] = {}

    def find(group: int) -> int:
        while group in root:
            group = root[group]
        return group

    joined = False
    for _, later, earlier in sorted(links, key=lambda link: (-link[0], link[1], link[2])):
        keep, gone = sorted((find(later), find(earlier)))
        if keep == gone or groups.conflict[keep, gone] or groups.value(keep, gone) < level:
            continue
        groups.merge(keep, gone)
        root[gone] = keep
        joined = True
    return joined


def link_values(
    problem: Problem, member: Int64Array, linkage: Linkage
) -> tuple[Float64Array, Int64Array]:
    """Linkage value of every node with every group, itself left out.

    Args:
        problem: The tracks and what is known about their pairs.
        member: Group number of every node, from `associate`.
        linkage: How groups are compared.

    Returns:
        Values `(N, G)`, `-inf` for a group that holds nothing but the node or that a constraint
        forbids, and the group number of every column, `(G,)`.
    """
    numbers, column = np.unique(member, return_inverse=True)
    total, weight = linkage.pair_terms(problem.log_odds)
    np.fill_diagonal(total, 0.0)
    np.fill_diagonal(weight, 0.0)
    value = linkage.value_of(_summed(total, column, axis=1), _summed(weight, column, axis=1))
    blocked = _summed(problem.conflict.astype(np.float64), column, axis=1) > 0
    others = np.bincount(column)[None, :] - (column[:, None] == np.arange(len(numbers)))
    value[(others == 0) | blocked] = -np.inf
    return value, numbers
