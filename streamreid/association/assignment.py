"""Assigns tracks that wait together, together: rounds of linear assignment under constraints."""

import math
from dataclasses import dataclass
from typing import Any

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
    already one identity; different anchors are never joined. Only free nodes have a row: nothing is
    ever asked about two nodes that are fixed.

    Attributes:
        log_odds: Log odds that a free node (F of them, in order) and a node are one person, shape
            `(F, N)`, NaN where nobody compared them; equal both ways for two free nodes.
        anchor: Number of the identity that a track is fixed to, shape `(N,)`, -1 when free.
        conflict: Pairs that must be two people, shape `(F, N)`.
    """

    log_odds: Float64Array
    anchor: Int64Array
    conflict: BoolArray

    def __post_init__(self) -> None:
        shape = (int((self.anchor < 0).sum()), len(self.anchor))
        for name, array in (("log_odds", self.log_odds), ("conflict", self.conflict)):
            if array.shape != shape:
                raise ValueError(f"{name} must be {shape}, got {array.shape}")

    @property
    def free(self) -> Int64Array:
        """Numbers of the free nodes, shape `(F,)`."""
        return np.flatnonzero(self.anchor < 0).astype(np.int64)


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

    def group_terms(
        self, problem: Problem, member: Int64Array, *, without_self: bool = False
    ) -> tuple[Float64Array, Float64Array]:
        """Summands and weights of the mean, summed over the nodes of every group.

        Most pairs were never compared and all count the same, so only the others are looked at.

        Args:
            problem: The tracks and what is known about their pairs.
            member: Group of every node, shape `(N,)`, from 0 without gaps.
            without_self: Leave a node's pair with itself out.

        Returns:
            Sums and weights of every free node with every group, shape `(F, G)` each.
        """
        groups = int(member.max()) + 1 if len(member) else 0
        free = problem.free
        unknown_term = self.missing_weight * math.exp(self.sharpness * self.missing)
        rows, columns = np.nonzero(~np.isnan(problem.log_odds))
        # Beyond 30 nothing changes the decision, and the exponential stays finite.
        odds = np.clip(problem.log_odds[rows, columns], -30.0, 30.0)
        size = np.bincount(member, minlength=groups).astype(np.float64)
        place = rows * groups + member[columns]
        shape = (len(free), groups)
        terms = np.exp(self.sharpness * odds) - unknown_term
        known = np.full(len(place), 1.0 - self.missing_weight)
        # Without any place bincount would forget that it counts fractions.
        total, weight = (
            np.bincount(place, part, minlength=len(free) * groups).astype(np.float64).reshape(shape)
            for part in (terms, known)
        )
        total += unknown_term * size
        weight += self.missing_weight * size
        if without_self:
            own = (np.arange(len(free)), member[free])
            itself = problem.log_odds[np.arange(len(free)), free]
            scored = ~np.isnan(itself)
            term = np.exp(self.sharpness * np.clip(itself, -30.0, 30.0))
            total[own] -= np.where(scored, term, unknown_term)
            weight[own] -= np.where(scored, 1.0, self.missing_weight)
            # What is left of a group of one is rounding.
            alone = size[member[free]] == 1
            total[own] = np.where(alone, 0.0, total[own])
            weight[own] = np.where(alone, 0.0, weight[own])
        return total, weight

    def value_of(self, total: Float64Array, weight: Float64Array) -> Float64Array:
        """Linkage value from summed terms; `-inf` where nothing is known at all."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value: Float64Array = np.log(total / weight) / self.sharpness
        value[weight <= 0] = -np.inf
        return value


class _Groups:
    """Groups of nodes with the sums from which every linkage value follows by addition.

    Identities are numbered first, from 0 to `anchors`; every free node then starts as a group of
    its own and has a row; a group that was joined to another one has no choice any more.
    """

    def __init__(self, problem: Problem, linkage: Linkage) -> None:
        self.linkage = linkage
        self.member = _initial_groups(problem.anchor)
        self.total, self.weight = linkage.group_terms(problem, self.member)
        free, nodes = np.nonzero(problem.conflict)
        self.anchors = len(np.unique(problem.anchor[problem.anchor >= 0]))
        self.conflict: BoolArray = np.zeros(self.total.shape, dtype=np.bool_)
        self.conflict[free, self.member[nodes]] = True
        # A group chooses among earlier ones; the mean of a pair that must not be is -1.
        rows, columns = self.total.shape
        earlier = np.tri(rows, columns, k=self.anchors - 1, dtype=np.bool_)
        self._choice: BoolArray = earlier
        self.mean: Float64Array = np.full(self.total.shape, -1.0)
        self._refresh(np.s_[:, :])

    def value(self, first: int, second: int) -> float:
        """Linkage value of two groups, of which the later one is free."""
        row, column = max(first, second) - self.anchors, min(first, second)
        pair = slice(column, column + 1)
        return float(self.linkage.value_of(self.total[row, pair], self.weight[row, pair])[0])

    def forbidden(self, first: int, second: int) -> bool:
        """Whether two groups, of which the later one is free, must be two people."""
        return bool(self.conflict[max(first, second) - self.anchors, min(first, second)])

    def merge(self, keep: int, gone: int) -> None:
        """Make one group of two; `gone` is free."""
        row = gone - self.anchors
        if keep >= self.anchors:
            kept = keep - self.anchors
            self.total[kept] += self.total[row]
            self.weight[kept] += self.weight[row]
            self.conflict[kept] |= self.conflict[row]
        self.total[:, keep] += self.total[:, gone]
        self.weight[:, keep] += self.weight[:, gone]
        self.conflict[:, keep] |= self.conflict[:, gone]
        self._choice[row] = False
        self._choice[:, gone] = False
        self.member[self.member == gone] = keep
        self._refresh(np.s_[:, keep])
        self._refresh(np.s_[row, :])
        self._refresh(np.s_[:, gone])
        if keep >= self.anchors:
            self._refresh(np.s_[keep - self.anchors, :])

    def _refresh(self, part: Any) -> None:
        """Compute the means of a part of the table again."""
        possible = self._choice[part] & ~self.conflict[part] & (self.weight[part] > 0)
        self.mean[part] = np.divide(
            self.total[part], self.weight[part], out=np.full(possible.shape, -1.0), where=possible
        )


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


def _round(groups: _Groups, level: float) -> bool:
    """One linear assignment of groups to earlier groups; True when anything was joined."""
    # Identities come first and never join one another: only free groups choose.
    free = groups.anchors
    possible = groups.mean >= math.exp(groups.linkage.sharpness * level)
    rows = np.flatnonzero(possible.any(axis=1))
    if len(rows) == 0:
        return False
    columns = np.flatnonzero(possible.any(axis=0))
    cut = np.ix_(rows, columns)
    value = groups.linkage.value_of(groups.total[cut], groups.weight[cut])
    gain = np.where(possible[cut], value - level + 1e-9, -_FORBIDDEN)
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
        if keep == gone or groups.forbidden(keep, gone) or groups.value(keep, gone) < level:
            continue
        groups.merge(keep, gone)
        root[gone] = keep
        joined = True
    return joined


def link_values(
    problem: Problem, member: Int64Array, linkage: Linkage
) -> tuple[Float64Array, Int64Array]:
    """Linkage value of every free node with every group, itself left out.

    Args:
        problem: The tracks and what is known about their pairs.
        member: Group number of every node, from `associate`.
        linkage: How groups are compared.

    Returns:
        Values `(F, G)`, `-inf` for a group that holds nothing but the node or that a constraint
        forbids, and the group number of every column, `(G,)`.
    """
    numbers, column = np.unique(member, return_inverse=True)
    total, weight = linkage.group_terms(problem, column, without_self=True)
    value = linkage.value_of(total, weight)
    rows, nodes = np.nonzero(problem.conflict)
    value[rows, column[nodes]] = -np.inf
    return value, numbers
