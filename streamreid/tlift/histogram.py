"""Decayed histograms of times between two tracks: signed seconds, bins that grow with the time."""

import math
import struct
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from streamreid.types import Float64Array

RANGE_S = 3600.0
_BINS = 161
_SCALE_S = 2.0
_LIMIT = math.asinh(RANGE_S / _SCALE_S)
_WIDTH = 2 * _LIMIT / _BINS
_HEADER = struct.Struct("<4sHH")
_MAGIC = b"TTH2"
_MAGIC_WITH_OTHERS = b"TTH1"

CENTRES_S: Float64Array = _SCALE_S * np.sinh((np.arange(_BINS) + 0.5) * _WIDTH - _LIMIT)
"""Middle of every bin, seconds."""

_PLACES: Float64Array = np.arange(_BINS, dtype=np.float64)
_EDGES_S: Float64Array = _SCALE_S * np.sinh(np.arange(_BINS + 1) * _WIDTH - _LIMIT)
WIDTHS_S: Float64Array = np.diff(_EDGES_S)
"""Width of every bin, seconds."""

FLAT: Float64Array = WIDTHS_S / (2 * RANGE_S)
"""Share of every bin when all times are equally likely."""

# A mode reaches from half its median to twice, on the bins' logarithmic scale.
_MODE_BINS = round(math.log(2.0) / _WIDTH)
_MODE_SMOOTHING = 0.2


@dataclass(slots=True)
class Histogram:
    """Weights of observed times, one per bin of `CENTRES_S`.

    Attributes:
        counts: Weights as of `updated_at_s`, shape `(bins,)`.
        updated_at_s: Event time of the latest observation, epoch seconds.
    """

    counts: Float64Array = field(default_factory=lambda: np.zeros(_BINS))
    updated_at_s: float = 0.0

    def decayed(self, at_s: float, half_life_s: float) -> Float64Array:
        """Counts as they weigh at `at_s`."""
        result: Float64Array = self.counts * self._kept(at_s, half_life_s)
        return result

    def total(self, at_s: float, half_life_s: float) -> float:
        """What all of them weigh together."""
        return float(self.counts.sum()) * self._kept(at_s, half_life_s)

    def add(self, delta_s: float, weight: float, *, at_s: float, half_life_s: float) -> None:
        """Take in one time; those out of range count in the last bins."""
        self._age(at_s, half_life_s)
        self.counts[min(max(int(_place(delta_s) + 0.5), 0), _BINS - 1)] += weight

    def merge(self, part: "Histogram", half_life_s: float) -> None:
        """Take in all of another."""
        self._age(part.updated_at_s, half_life_s)
        self.counts = self.counts + part.decayed(self.updated_at_s, half_life_s)

    def subtract(self, part: "Histogram", half_life_s: float) -> None:
        """Give up what was merged."""
        share = part.decayed(self.updated_at_s, half_life_s)
        self.counts = np.maximum(self.counts - share, 0.0)

    def _age(self, at_s: float, half_life_s: float) -> None:
        later_s = max(at_s, self.updated_at_s)
        self.counts = self.decayed(later_s, half_life_s)
        self.updated_at_s = later_s

    def _kept(self, at_s: float, half_life_s: float) -> float:
        return math.pow(2.0, -max(at_s - self.updated_at_s, 0.0) / half_life_s)


def value_at(values: Float64Array, delta_s: float) -> float:
    """Values of the bins `(bins,)`, interpolated at a time in seconds."""
    return float(np.interp(_place(delta_s), _PLACES, values))


def quantile_s(counts: Float64Array, share: float) -> float:
    """Time in seconds below which a share of counts `(bins,)` lies; NaN without any."""
    total = counts.sum()
    if total <= 0:
        return math.nan
    below = np.concatenate([[0.0], np.cumsum(counts)]) / total
    return float(np.interp(share, below, _EDGES_S))


def typical_s(counts: Float64Array) -> float:
    """Median of the main mode of counts `(bins,)`, seconds; NaN without any."""
    if counts.sum() <= 0:
        return math.nan
    place = float(np.argmax(counts @ _MODE_SMOOTHER)) + 0.5
    edges = np.arange(_BINS + 1, dtype=np.float64)
    below = np.concatenate([[0.0], np.cumsum(counts)])
    for _ in range(20):
        low, high = np.interp([place - _MODE_BINS, place + _MODE_BINS], edges, below)
        if high <= low:
            break
        before, place = place, float(np.interp((low + high) / 2, below, edges))
        if abs(place - before) < 1e-3:
            break
    return _SCALE_S * math.sinh(place * _WIDTH - _LIMIT)


@cache
def smoother(width: float) -> Float64Array:
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
    result.flags.writeable = False
    return result


_MODE_SMOOTHER = smoother(_MODE_SMOOTHING)


def packed(counts: Float64Array) -> bytes:
    """Counts `(bins,)` as bytes for the store."""
    return _HEADER.pack(_MAGIC, _BINS, 0) + counts.astype("<f8").tobytes()


def read_histogram(data: bytes) -> Float64Array:
    """Counts of a stored histogram, one per bin of `CENTRES_S`.

    Raises:
        ValueError: If the bytes are not a histogram of this version or the one before, which also
            held the times of all compared tracks, in half the precision.
    """
    size = _HEADER.size + 8 * _BINS
    heads = [_HEADER.pack(magic, _BINS, 0) for magic in (_MAGIC, _MAGIC_WITH_OTHERS)]
    if len(data) != size or data[: _HEADER.size] not in heads:
        raise ValueError(
            f"transition histogram of {len(data)} bytes is not of version {_MAGIC.decode()} with "
            f"{_BINS} bins ({size} bytes); reset it with 'streamreid topology reset'"
        )
    kind = "<f8" if data.startswith(_MAGIC) else "<f4"
    return checked_counts(np.frombuffer(data, kind, count=_BINS, offset=_HEADER.size))


def checked_counts(counts: npt.ArrayLike) -> Float64Array:
    """Counts from outside, one per bin of `CENTRES_S`.

    Raises:
        ValueError: If they are not as many, or negative or infinite.
    """
    found = np.array(counts, dtype=np.float64)
    if found.shape != (_BINS,) or not np.isfinite(found).all() or (found < 0).any():
        raise ValueError(f"a transition histogram has {_BINS} counts, none negative or infinite")
    return found


def _place(delta_s: float) -> float:
    """Where a time lies among the middles of the bins, in bins."""
    return (math.asinh(delta_s / _SCALE_S) + _LIMIT) / _WIDTH - 0.5
