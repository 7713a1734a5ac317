"""Notices cameras whose clock moved: matches that used to fit the learned times stop fitting."""

import math
from collections import deque
from dataclasses import dataclass, field

from streamreid.types import CameraId

_WINDOW = 16
_LEAST_BEFORE = 24
_LEAST_ALONE = 6
_SIGMAS = 4.0
_LEAST_DROP = 0.7
# Matches after a jump fit worse than other candidates do: -0.4 to -0.8 in simulated networks. A
# mere streak of odd walks hardly does: 0.0 was seen in a scene of regulars, 0.4 in networks.
_LARGEST_FIT = -0.2
_MEMORY = 200.0
_SHARE_WHILE_MOVED = 0.1


@dataclass(slots=True)
class CameraRecord:
    """How well the times of one camera fitted lately, and before that.

    Attributes:
        recent: The latest believed matches: the other camera, and how much better their time fitted
            than that of other candidates (log likelihood ratio).
        count: Decayed number of older ones.
        total: Decayed sum of their values.
        squares: Decayed sum of their squares.
    """

    recent: deque[tuple[CameraId, float]] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def observe(self, partner: CameraId, fit: float) -> None:
        """Take in one believed match; what leaves the window becomes the past."""
        if len(self.recent) == _WINDOW:
            old = self.recent[0][1]
            # While nothing fits, the past is remembered rather than overwritten.
            share = _SHARE_WHILE_MOVED if self.drop() > _SIGMAS else 1.0
            keep = 1.0 - share / _MEMORY
            self.count = self.count * keep + share
            self.total = self.total * keep + share * old
            self.squares = self.squares * keep + share * old * old
        self.recent.append((partner, fit))

    def drop(self, without: frozenset[CameraId] = frozenset()) -> float:
        """By how many standard errors the recent matches fit worse than the past; 0 if they do not.

        Args:
            without: Matches with these cameras do not count.
        """
        values = [fit for partner, fit in self.recent if partner not in without]
        if self.count < _LEAST_BEFORE or len(values) < (_LEAST_ALONE if without else _WINDOW):
            return 0.0
        mean = self.total / self.count
        spread = math.sqrt(max(self.squares / self.count - mean * mean, 0.1))
        recent = sum(values) / len(values)
        if recent > _LARGEST_FIT or mean - recent < _LEAST_DROP:
            return 0.0
        return (mean - recent) / (spread / math.sqrt(len(values)))


@dataclass(slots=True)
class ClockWatch:
    """The record of every camera.

    Attributes:
        cameras: Records by camera.
    """

    cameras: dict[CameraId, CameraRecord] = field(default_factory=dict)
    _moved: frozenset[CameraId] | None = None

    def observe(self, first: CameraId, second: CameraId, fit: float) -> None:
        """Take in how well the time of a believed match fitted; within one camera it says nothing.

        Args:
            first: Camera of one track.
            second: Camera of the other.
            fit: Log likelihood ratio of the time, less that of other candidates.
        """
        if first == second:
            return
        for camera, partner in ((first, second), (second, first)):
            self.cameras.setdefault(camera, CameraRecord()).observe(partner, fit)
        self._moved = None

    def moved(self) -> frozenset[CameraId]:
        """Cameras whose clock seems to have moved.

        The camera that fits worst is named first; matches with it no longer count against the
        others. Of two cameras that only know each other both are named.
        """
        if self._moved is None:
            self._moved = self._search()
        return self._moved

    def _search(self) -> frozenset[CameraId]:
        drops = {camera: record.drop() for camera, record in self.cameras.items()}
        suspects = sorted(
            (camera for camera, drop in drops.items() if drop > _SIGMAS),
            key=lambda camera: (-drops[camera], camera),
        )
        found: set[CameraId] = set()
        for camera in suspects:
            record = self.cameras[camera]
            partners = {partner for partner, _ in record.recent}
            only_each_other = bool(found) and partners <= found and len(self.cameras) == 2
            if not found or only_each_other or record.drop(frozenset(found)) > _SIGMAS:
                found.add(camera)
        return frozenset(found)

    def dump(self, camera: CameraId) -> list[float | str]:
        """A camera's record as plain values, for the store."""
        record = self.cameras[camera]
        flat: list[float | str] = [record.count, record.total, record.squares]
        for partner, fit in record.recent:
            flat += [partner, fit]
        return flat

    def load(self, camera: CameraId, values: list[float | str]) -> None:
        """Take over a record from the store.

        Raises:
            ValueError: If the values are not a record.
        """
        if len(values) % 2 != 1 or len(values) < 3:
            raise ValueError(f"the record of camera '{camera}' has {len(values)} values")
        record = CameraRecord(deque(maxlen=_WINDOW), *(float(value) for value in values[:3]))
        for partner, fit in zip(values[3::2], values[4::2], strict=True):
            record.recent.append((CameraId(str(partner)), float(fit)))
        self.cameras[camera] = record
        self._moved = None
