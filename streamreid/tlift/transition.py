"""Learned transition times: how long people take from one camera to the next.

For every ordered camera pair a decayed histogram over `start(to) - end(from)`, signed seconds, on
bins that grow with the time (design: qaconv_tlift.md 11.4). The published TLift has no such
term; learned histograms follow the line of st-ReID (Wang et al., AAAI 2019).
"""

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from streamreid.types import CameraId, Float64Array

Kind = Literal["same", "overlapping", "apart"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Pair = tuple[CameraId, CameraId]

RANGE_S = 3600.0
_BINS = 161
_SCALE_S = 2.0
_LIMIT = math.asinh(RANGE_S / _SCALE_S)
_WIDTH = 2 * _LIMIT / _BINS
_HEADER = struct.Struct("<4sHH")
_MAGIC = b"TTH1"

CENTRES_S: Float64Array = _SCALE_S * np.sinh((np.arange(_BINS) + 0.5) * _WIDTH - _LIMIT)
"""Middle of every bin, seconds."""

_PLACES: Float64Array = np.arange(_BINS, dtype=np.float64)
_EDGES_S: Float64Array = _SCALE_S * np.sinh(np.arange(_BINS + 1) * _WIDTH - _LIMIT)
_WIDTHS_S: Float64Array = np.diff(_EDGES_S)
_FLAT: Float64Array = _WIDTHS_S / (2 * RANGE_S)

_OVERLAP_SUPPORT = 10.0
_OVERLAP_SHARE = 0.3
_OVERLAP_SHARE_EACH = 0.2
_OVERLAP_SUPPORT_EACH = 3.0
_APART_SHARE = 0.03
# One-sided 95 %.
_NORMAL_95 = 1.645
# A mode reaches from half its median to twice, on the bins' logarithmic scale.
_MODE_BINS = round(math.log(2.0) / _WIDTH)
_MODE_SMOOTHING = 0.2


@dataclass(slots=True)
class _Histogram:
    counts: Float64Array
    updated_at_s: float

    def decayed(self, at_s: float, half_life_s: float) -> Float64Array:
        """Counts as they weigh at `at_s`."""
        result: Float64Array = self.counts * self._kept(at_s, half_life_s)
        return result

    def total(self, at_s: float, half_life_s: float) -> float:
        """What all of them weigh together."""
        return float(self.counts.sum()) * self._kept(at_s, half_life_s)

    def _kept(self, at_s: float, half_life_s: float) -> float:
        return math.pow(2.0, -max(at_s - self.updated_at_s, 0.0) / half_life_s)


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
        self._smoother = _smoother(smoothing)
        self._mode_smoother = _smoother(_MODE_SMOOTHING)
        self._known_overlaps = frozenset(frozenset(pair) for pair in overlaps)
        self._seen_overlaps: set[frozenset[CameraId]] = set()
        self._pairs: dict[Pair, _Histogram] = {}
        self._pools = {kind: _Histogram(np.zeros(_BINS), 0.0) for kind in KINDS}
        self._compared: dict[Pair, _Histogram] = {}
        self._background = _Histogram(np.zeros(_BINS), 0.0)
        self._ratio: dict[Pair, Float64Array] = {}

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
        if key not in self._pairs:
            self._pairs[key] = _Histogram(np.zeros(_BINS), at_s)
        for histogram in (self._pairs[key], self._pools[self.kind(source, target)]):
            self._add(histogram, delta_s, at_s, weight)
        self._recognise(source, target, at_s)
        self._ratio.clear()
        return True

    def learn_background(
        self, source: CameraId, target: CameraId, delta_s: float, *, at_s: float
    ) -> None:
        """Take in the time between two tracks that were compared, whoever they are.

        What matters for a decision is how much likelier a time is for one person than for any two
        tracks that are compared; without this, a short memory alone would look like evidence.

        Args:
            source: Camera that was left.
            target: Camera that was entered.
            delta_s: start(to) - end(from), seconds.
            at_s: Event time now, epoch seconds.
        """
        if self.frozen or not abs(delta_s) < RANGE_S:
            return
        key = (source, target)
        if key not in self._compared:
            self._compared[key] = _Histogram(np.zeros(_BINS), at_s)
        for histogram in (self._compared[key], self._background):
            self._add(histogram, delta_s, at_s, 1.0)
        self._ratio.clear()

    def log_ratio(
        self, source: CameraId, target: CameraId, delta_s: float, *, at_s: float
    ) -> float | None:
        """Log likelihood ratio of a time between two tracks: one person against any two.

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
            mass = self.distribution(source, target, at_s=at_s)
            background = self._background.decayed(at_s, self.half_life_s)
            reference = (background @ self._smoother + self.prior_support * _FLAT) / (
                background.sum() + self.prior_support
            )
            self._ratio[key] = np.log(mass / reference)
        place = (math.asinh(delta_s / _SCALE_S) + _LIMIT) / _WIDTH - 0.5
        return float(np.interp(place, _PLACES, self._ratio[key]))

    def distribution(self, source: CameraId, target: CameraId, *, at_s: float) -> Float64Array:
        """Probability of every bin of `CENTRES_S` for a pair, shape `(bins,)`, sum 1."""
        pool = self._pools[self.kind(source, target)].decayed(at_s, self.half_life_s)
        prior = (pool @ self._smoother + self.prior_support * _FLAT) / (
            pool.sum() + self.prior_support
        )
        own = self._own(source, target, at_s)
        mass: Float64Array = (own @ self._smoother + self.prior_support * prior) / (
            own.sum() + self.prior_support
        )
        return np.asarray(mass / mass.sum(), np.float64)

    def density(self, source: CameraId, target: CameraId, *, at_s: float) -> Float64Array:
        """Density per second at every bin of `CENTRES_S`, for drawing, shape `(bins,)`."""
        result: Float64Array = self.distribution(source, target, at_s=at_s) / _WIDTHS_S
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
        own = self._own(source, target, at_s)
        total = own.sum()
        if total <= 0:
            return math.nan
        below = np.concatenate([[0.0], np.cumsum(own)]) / total
        return float(np.interp(share, below, _EDGES_S))

    def typical_s(self, source: CameraId, target: CameraId, *, at_s: float) -> float:
        """Median of the main mode of a pair's own observations, seconds; NaN without any.

        Some believed matches are two people, or one person who went elsewhere in between; they lie
        far from the usual time and would pull a plain median towards them.

        Args:
            source: Camera that was left.
            target: Camera that was entered.
            at_s: Event time now, epoch seconds.
        """
        own = self._own(source, target, at_s)
        if own.sum() <= 0:
            return math.nan
        place = float(np.argmax(own @ self._mode_smoother)) + 0.5
        edges = np.arange(_BINS + 1, dtype=np.float64)
        below = np.concatenate([[0.0], np.cumsum(own)])
        for _ in range(20):
            low, high = np.interp([place - _MODE_BINS, place + _MODE_BINS], edges, below)
            if high <= low:
                break
            before, place = place, float(np.interp((low + high) / 2, below, edges))
            if abs(place - before) < 1e-3:
                break
        return _SCALE_S * math.sinh(place * _WIDTH - _LIMIT)

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

    def dump(self, source: CameraId, target: CameraId) -> bytes:
        """A pair's histogram as bytes for the store."""
        key = (source, target)
        both = [
            table[key].counts if key in table else np.zeros(_BINS)
            for table in (self._pairs, self._compared)
        ]
        return _HEADER.pack(_MAGIC, _BINS, 0) + np.concatenate(both).astype("<f4").tobytes()

    def load(self, source: CameraId, target: CameraId, data: bytes, *, updated_at_s: float) -> None:
        """Take over a pair's histogram from the store.

        Raises:
            ValueError: If the bytes are not a histogram of this version.
        """
        own, compared = read_histogram(data)
        self.reset(source, target)
        key = (source, target)
        self._pairs[key] = _Histogram(own, updated_at_s)
        self._compared[key] = _Histogram(compared, updated_at_s)
        for total, part in (
            (self._pools[self.kind(source, target)], self._pairs[key]),
            (self._background, self._compared[key]),
        ):
            self._merge(total, part)
        self._recognise(source, target, updated_at_s)
        self._ratio.clear()

    def reset(self, source: CameraId | None = None, target: CameraId | None = None) -> int:
        """Forget what was learned.

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
            self._subtract(self._pools[self.kind(*key)], self._pairs.pop(key))
            if key in self._compared:
                self._subtract(self._background, self._compared.pop(key))
        for source_id, target_id in gone:
            self._recognise(source_id, target_id, self.updated_at_s(target_id, source_id))
        self._ratio.clear()
        return len(gone)

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
            self._subtract(self._pools[self.kind(*way)], self._pairs[way])
        self._seen_overlaps ^= {pair}
        for way in ways:
            self._merge(self._pools[self.kind(*way)], self._pairs[way])

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

    def _merge(self, total: _Histogram, part: _Histogram) -> None:
        later_s = max(total.updated_at_s, part.updated_at_s)
        total.counts = total.decayed(later_s, self.half_life_s) + part.decayed(
            later_s, self.half_life_s
        )
        total.updated_at_s = later_s

    def _subtract(self, total: _Histogram, part: _Histogram) -> None:
        share = part.decayed(total.updated_at_s, self.half_life_s)
        total.counts = np.maximum(total.counts - share, 0.0)

    def _own(self, source: CameraId, target: CameraId, at_s: float) -> Float64Array:
        found = self._pairs.get((source, target))
        return np.zeros(_BINS) if found is None else found.decayed(at_s, self.half_life_s)

    def _add(self, histogram: _Histogram, delta_s: float, at_s: float, weight: float) -> None:
        later_s = max(at_s, histogram.updated_at_s)
        histogram.counts = histogram.decayed(later_s, self.half_life_s)
        histogram.updated_at_s = later_s
        place = int((math.asinh(delta_s / _SCALE_S) + _LIMIT) / _WIDTH)
        histogram.counts[min(max(place, 0), _BINS - 1)] += weight


def _smoother(width: float) -> Float64Array:
    """Where one observation in each bin is spread, shape `(bins, bins)`; every row sums to 1.

    A Gaussian whose `width` is relative to the time itself; mass that would leave the range stays
    in the last bins.
    """
    places = np.arange(-_BINS, 2 * _BINS)
    spread = np.exp(-0.5 * ((places - np.arange(_BINS)[:, None]) * _WIDTH / width) ** 2)
    spread /= spread.sum(axis=1, keepdims=True)
    result: Float64Array = spread[:, _BINS : 2 * _BINS].copy()
    result[:, 0] += spread[:, :_BINS].sum(axis=1)
    result[:, -1] += spread[:, 2 * _BINS :].sum(axis=1)
    return result


def _upper_bound(share: float, total: float) -> float:
    """Wilson's upper bound of a share that was measured on `total` observations."""
    square = _NORMAL_95 * _NORMAL_95
    middle = share + square / (2 * total)
    spread = _NORMAL_95 * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return (middle + spread) / (1 + square / total)


def read_histogram(data: bytes) -> tuple[Float64Array, Float64Array]:
    """Counts of a stored histogram: believed matches and all compared pairs.

    Returns:
        Two arrays with one count per bin of `CENTRES_S`.

    Raises:
        ValueError: If the bytes are not a histogram of this version.
    """
    size = _HEADER.size + 8 * _BINS
    if len(data) != size or data[: _HEADER.size] != _HEADER.pack(_MAGIC, _BINS, 0):
        raise ValueError(
            f"transition histogram of {len(data)} bytes is not of version {_MAGIC.decode()} with "
            f"{_BINS} bins ({size} bytes); reset it with 'streamreid topology reset'"
        )
    counts = np.frombuffer(data, "<f4", offset=_HEADER.size).astype(np.float64)
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError("transition histogram holds negative or infinite counts")
    return counts[:_BINS], counts[_BINS:]
