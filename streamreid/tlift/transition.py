"""Learned transition times: how long people take from one camera to the next.

For every ordered camera pair a decayed histogram over `start(to) - end(from)`, signed seconds, on
bins that grow with the time (design: qaconv_tlift.md 11.4). The published TLift has no such
term; learned histograms follow the line of st-ReID (Wang et al., AAAI 2019).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

import numpy as np

from streamreid.tlift.histogram import (
    CENTRES_S,
    FLAT,
    RANGE_S,
    WIDTHS_S,
    Histogram,
    checked_counts,
    packed,
    quantile_s,
    read_histogram,
    smoother,
    typical_s,
    value_at,
)
from streamreid.types import CameraId, Float64Array

Kind = Literal["same", "overlapping", "apart"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Pair = tuple[CameraId, CameraId]

_OVERLAP_SUPPORT = 10.0
_OVERLAP_SHARE = 0.3
_OVERLAP_SHARE_EACH = 0.2
_OVERLAP_SUPPORT_EACH = 3.0
_APART_SHARE = 0.03
# One-sided 95 %.
_NORMAL_95 = 1.645


class TransitionModel:
    """Transition-time distribution per ordered camera pair, learned while it runs.

    A pair with little support of its own leans on all pairs of its kind (twice the same camera, two
    whose views overlap, two others), and those on a flat distribution: with no evidence at all the
    ratio is 1.

    Args:
        half_life_s: After this time an observation weighs half.
        prior_support: Weight (kappa) of the pooled distribution, in observations.
        smoothing: Width of the kernel on the bins, relative to the time itself.
        overlaps: Camera pairs whose views are known to overlap; others are recognised.
    """

    def __init__(
        self,
        *,
        half_life_s: float = 7 * 86400.0,
        prior_support: float = 10.0,
        smoothing: float = 0.3,
        overlaps: Iterable[Pair] = (),
    ) -> None:
        if half_life_s <= 0 or prior_support <= 0 or smoothing <= 0:
            raise ValueError(
                "half_life_s, prior_support and smoothing must be positive, got "
                f"{half_life_s}, {prior_support}, {smoothing}"
            )
        self.half_life_s = half_life_s
        self.prior_support = prior_support
        self.frozen = False
        self._smoother = smoother(smoothing)
        self._known_overlaps = frozenset(frozenset(pair) for pair in overlaps)
        self._seen_overlaps: set[frozenset[CameraId]] = set()
        self._pairs: dict[Pair, Histogram] = {}
        self._pools = {kind: Histogram() for kind in KINDS}
        self._background = Histogram()
        self._ratio: dict[Pair, Float64Array] = {}
        self._latest_s = 0.0

    def learn(
        self,
        source: CameraId,
        target: CameraId,
        delta_s: float,
        *,
        at_s: float,
        weight: float = 1.0,
    ) -> bool:
        """Take in one pair of tracks that are believed to be one person.

        Args:
            source: Camera that was left (`from`).
            target: Camera that was entered (`to`).
            delta_s: start(to) - end(from), seconds; outside of one hour it is ignored.
            at_s: Event time now, epoch seconds; older observations decay towards it.
            weight: How much to believe it, in (0, 1].

        Returns:
            Whether it was taken: not when frozen or out of range.
        """
        if self.frozen or not abs(delta_s) < RANGE_S:
            return False
        key = (source, target)
        own = self._pairs.setdefault(key, Histogram(updated_at_s=at_s))
        for histogram in (own, self._pools[self.kind(source, target)]):
            histogram.add(delta_s, weight, at_s=at_s, half_life_s=self.half_life_s)
        self._recognise(source, target, at_s)
        self._changed(at_s)
        return True

    def learn_background(self, delta_s: float, *, at_s: float) -> None:
        """Take in the time between two tracks that were compared, whoever and wherever they are.

        What matters for a decision is how much likelier a time is for one person than for any two
        tracks that are compared; without this, a short memory alone would look like evidence.

        Args:
            delta_s: start(to) - end(from), seconds.
            at_s: Event time now, epoch seconds.
        """
        if self.frozen or not abs(delta_s) < RANGE_S:
            return
        self._background.add(delta_s, 1.0, at_s=at_s, half_life_s=self.half_life_s)
        self._changed(at_s)

    def log_ratio(
        self, source: CameraId, target: CameraId, delta_s: float, *, at_s: float
    ) -> float | None:
        """Log likelihood ratio of a time between two tracks: one person against any two.

        Everything weighs as it did when something was learned last, so that the ratio does not
        depend on when it is asked for first, nor on a restart.

        Args:
            source: Camera that was left.
            target: Camera that was entered.
            delta_s: start(to) - end(from), seconds.
            at_s: Event time now, epoch seconds.

        Returns:
            None without any evidence or out of range.
        """
        if not abs(delta_s) < RANGE_S or self.support_of_kind(source, target, at_s=at_s) < 1.0:
            return None
        key = (source, target)
        if key not in self._ratio:
            mass = self.distribution(source, target, at_s=self._latest_s)
            background = self._background.decayed(self._latest_s, self.half_life_s)
            reference = (background @ self._smoother + self.prior_support * FLAT) / (
                background.sum() + self.prior_support
            )
            self._ratio[key] = np.log(mass / reference)
        return value_at(self._ratio[key], delta_s)

    def distribution(self, source: CameraId, target: CameraId, *, at_s: float) -> Float64Array:
        """Probability of every bin of `CENTRES_S` for a pair, shape `(bins,)`, sum 1."""
        pool = self._pools[self.kind(source, target)].decayed(at_s, self.half_life_s)
        prior = (pool @ self._smoother + self.prior_support * FLAT) / (
            pool.sum() + self.prior_support
        )
        own = self._own(source, target, at_s)
        mass: Float64Array = (own @ self._smoother + self.prior_support * prior) / (
            own.sum() + self.prior_support
        )
        return np.asarray(mass / mass.sum(), np.float64)

    def density(self, source: CameraId, target: CameraId, *, at_s: float) -> Float64Array:
        """Density per second at every bin of `CENTRES_S`, for drawing, shape `(bins,)`."""
        result: Float64Array = self.distribution(source, target, at_s=at_s) / WIDTHS_S
        return result

    def support(self, source: CameraId, target: CameraId, *, at_s: float) -> float:
        """Decayed number of observations of a pair."""
        found = self._pairs.get((source, target))
        return 0.0 if found is None else found.total(at_s, self.half_life_s)

    def support_of_kind(self, source: CameraId, target: CameraId, *, at_s: float) -> float:
        """Decayed number of observations of all pairs of this kind."""
        return self._pools[self.kind(source, target)].total(at_s, self.half_life_s)

    def kind(self, source: CameraId, target: CameraId) -> Kind:
        """Whether two cameras are one, have views that overlap, or neither."""
        if source == target:
            return "same"
        return "overlapping" if self.views_overlap(source, target) else "apart"

    def views_overlap(self, first: CameraId, second: CameraId) -> bool:
        """Whether the views of two cameras are known, or were recognised, to overlap.

        Recognised is what has enough believed matches (10 in both directions together), of which
        three in ten or more were in both views at once, and not in one direction only: that would
        be a clock that is wrong.
        """
        pair = frozenset((first, second))
        return pair in self._known_overlaps or pair in self._seen_overlaps

    def never_at_once(self, first: CameraId, second: CameraId, *, at_s: float) -> bool:
        """Whether experience says that two cameras do not see one person at once.

        True when, with a confidence of 95 %, fewer than 3 % of the believed matches between them
        are in both views at once (Wilson's bound): that takes at least 88 matches, more when there
        are exceptions. Never for views that overlap.

        Args:
            first: One camera.
            second: Another.
            at_s: Event time now, epoch seconds.
        """
        if first == second or self.views_overlap(first, second):
            return False
        total = self.support(first, second, at_s=at_s) + self.support(second, first, at_s=at_s)
        share = self.overlap_share(first, second, at_s=at_s)
        return total > 0 and _upper_bound(share, total) <= _APART_SHARE

    def quantile_s(self, source: CameraId, target: CameraId, share: float, *, at_s: float) -> float:
        """Time below which a share of a pair's own observations lies; NaN without any.

        Args:
            source: Camera that was left.
            target: Camera that was entered.
            share: 0.5 is the median.
            at_s: Event time now, epoch seconds.
        """
        return quantile_s(self._own(source, target, at_s), share)

    def typical_s(self, source: CameraId, target: CameraId, *, at_s: float) -> float:
        """Median of the main mode of a pair's own observations, seconds; NaN without any.

        Some believed matches are two people, or one person who went elsewhere in between; they lie
        far from the usual time and would pull a plain median towards them.

        Args:
            source: Camera that was left.
            target: Camera that was entered.
            at_s: Event time now, epoch seconds.
        """
        return typical_s(self._own(source, target, at_s))

    def overlap_share(self, source: CameraId, target: CameraId, *, at_s: float) -> float:
        """Share of observations, both directions, in which the two tracks were there at once."""
        both = self._own(source, target, at_s) + self._own(target, source, at_s)
        total = float(both.sum())
        return float(both[CENTRES_S < 0].sum()) / total if total > 0 else 0.0

    def pairs(self) -> Iterator[tuple[CameraId, CameraId]]:
        """Ordered camera pairs with observations, sorted."""
        return iter(sorted(self._pairs))

    def updated_at_s(self, source: CameraId, target: CameraId) -> float:
        """Event time of the latest observation of a pair; 0 without any."""
        found = self._pairs.get((source, target))
        return found.updated_at_s if found else 0.0

    def dump(self, source: CameraId, target: CameraId, *, at_s: float) -> bytes:
        """A pair's histogram as it weighs at event time `at_s`, as bytes for the store."""
        return packed(self._own(source, target, at_s))

    def dump_background(self, *, at_s: float) -> tuple[float, ...]:
        """What all compared tracks weigh at event time `at_s`, one number per bin."""
        return tuple(self._background.decayed(at_s, self.half_life_s).tolist())

    def load(self, source: CameraId, target: CameraId, data: bytes, *, updated_at_s: float) -> None:
        """Take over a pair's histogram from the store.

        Raises:
            ValueError: If the bytes are not a histogram of this version.
        """
        own = Histogram(read_histogram(data), updated_at_s)
        self.reset(source, target)
        self._pairs[source, target] = own
        self._pools[self.kind(source, target)].merge(own, self.half_life_s)
        self._recognise(source, target, updated_at_s)
        self._changed(updated_at_s)

    def load_background(self, counts: Sequence[float], *, updated_at_s: float) -> None:
        """Take over from the store what all compared tracks weigh.

        Raises:
            ValueError: If it is not a histogram.
        """
        self._background = Histogram(checked_counts(counts), updated_at_s)
        self._changed(updated_at_s)

    def reset(self, source: CameraId | None = None, target: CameraId | None = None) -> int:
        """Forget what was learned; times of all compared tracks only together with all pairs.

        Args:
            source: Only pairs that start here; all when None.
            target: Only pairs that end here; all when None.

        Returns:
            Number of pairs forgotten.
        """
        gone = [
            key
            for key in self._pairs
            if (source is None or key[0] == source) and (target is None or key[1] == target)
        ]
        for key in gone:
            self._pools[self.kind(*key)].subtract(self._pairs.pop(key), self.half_life_s)
        for source_id, target_id in gone:
            self._recognise(source_id, target_id, self.updated_at_s(target_id, source_id))
        if source is None and target is None:
            self._background = Histogram()
        self._ratio.clear()
        return len(gone)

    def _changed(self, at_s: float) -> None:
        self._latest_s = max(self._latest_s, at_s)
        self._ratio.clear()

    def _recognise(self, source: CameraId, target: CameraId, at_s: float) -> None:
        """Look again whether the views of a pair overlap, and pool it with its like."""
        pair = frozenset((source, target))
        if source == target or pair in self._known_overlaps:
            return
        overlapping = self._looks_overlapping(source, target, at_s)
        if overlapping == (pair in self._seen_overlaps):
            return
        ways = [key for key in ((source, target), (target, source)) if key in self._pairs]
        for way in ways:
            self._pools[self.kind(*way)].subtract(self._pairs[way], self.half_life_s)
        self._seen_overlaps ^= {pair}
        for way in ways:
            self._pools[self.kind(*way)].merge(self._pairs[way], self.half_life_s)

    def _looks_overlapping(self, source: CameraId, target: CameraId, at_s: float) -> bool:
        ways = [self._own(source, target, at_s), self._own(target, source, at_s)]
        supports = [float(own.sum()) for own in ways]
        at_once = [float(own[CENTRES_S < 0].sum()) for own in ways]
        if sum(supports) < _OVERLAP_SUPPORT or sum(at_once) < _OVERLAP_SHARE * sum(supports):
            return False
        return all(
            support < _OVERLAP_SUPPORT_EACH or share >= _OVERLAP_SHARE_EACH * support
            for support, share in zip(supports, at_once, strict=True)
        )

    def _own(self, source: CameraId, target: CameraId, at_s: float) -> Float64Array:
        own = self._pairs.get((source, target), Histogram())
        return own.decayed(at_s, self.half_life_s)


def _upper_bound(share: float, total: float) -> float:
    """Wilson's upper bound of a share that was measured on `total` observations."""
    square = _NORMAL_95 * _NORMAL_95
    middle = share + square / (2 * total)
    spread = _NORMAL_95 * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return (middle + spread) / (1 + square / total)
