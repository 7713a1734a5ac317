"""Loads ByteTrack of Roboflow `trackers` alone, without the packages that it does not use.

`import trackers` brings scipy.optimize, supervision with its annotators, requests and a downloader:
72 MiB and a second in every camera worker (docs/decisions/0002). ByteTrack itself needs one class,
one formula and one function of them. Those three stand in while it is imported.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

_PACKAGE = "trackers"
_TRACKER_MODULE = "trackers.core.bytetrack.tracker"


@dataclass(slots=True, eq=False)
class LibraryDetections:
    """What ByteTrack uses of `supervision.Detections`; it sets `tracker_id` on a selection.

    Attributes:
        xyxy: Boxes, shape `(N, 4)`.
        confidence: Shape `(N,)`.
        tracker_id: The library's ids, shape `(N,)`, -1 for no track.
    """

    xyxy: npt.NDArray[Any]
    confidence: npt.NDArray[Any]
    tracker_id: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: npt.NDArray[np.int64] | slice) -> "LibraryDetections":
        ids = None if self.tracker_id is None else self.tracker_id[rows]
        return LibraryDetections(self.xyxy[rows], self.confidence[rows], ids)

    @classmethod
    def empty(cls) -> "LibraryDetections":
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class ByteTrack:
    """The library's tracker and the class of what it takes and gives.

    Attributes:
        tracker: `ByteTrackTracker`.
        detections: `LibraryDetections`, or `supervision.Detections` where the whole library runs.
    """

    tracker: type[Any]
    detections: type[Any]


@cache
def load_bytetrack() -> ByteTrack:
    """ByteTrack alone; the whole library where a later version is laid out in another way."""
    try:
        return load_alone()
    except (ImportError, AttributeError):
        return load_whole()


def load_alone() -> ByteTrack:
    """ByteTrack with stand-ins for what it imports; nothing of them stays in `sys.modules`.

    Raises:
        ImportError: The library or scipy is laid out in another way.
    """
    supervision = ModuleType("supervision")
    vars(supervision).update(Detections=LibraryDetections, box_iou_batch=intersection_over_union)
    optimize = ModuleType("scipy.optimize")
    vars(optimize).update(linear_sum_assignment=_linear_sum_assignment())
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(_folder_of(_PACKAGE))]
    names = {"supervision": supervision, "scipy.optimize": optimize, _PACKAGE: package}
    with _replaced_modules(names | {"scipy": ModuleType("scipy")}):
        tracker = importlib.import_module(_TRACKER_MODULE).ByteTrackTracker
    return ByteTrack(tracker, LibraryDetections)


def load_whole() -> ByteTrack:
    """ByteTrack as its package offers it."""
    from supervision import Detections
    from trackers import ByteTrackTracker

    return ByteTrack(ByteTrackTracker, Detections)


def intersection_over_union(
    first_xyxy: npt.NDArray[Any], second_xyxy: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    """Overlap of all pairs of boxes, as `supervision.box_iou_batch` rounds it.

    Args:
        first_xyxy: Shape `(N, 4)`.
        second_xyxy: Shape `(M, 4)`.

    Returns:
        Shape `(N, M)`, in [0, 1]; 0 where both boxes are empty.
    """
    first = first_xyxy.astype(np.float64)[:, None]
    second = second_xyxy.astype(np.float64)[None]
    corner = np.maximum(first[..., :2], second[..., :2])
    sides = np.clip(np.minimum(first[..., 2:], second[..., 2:]) - corner, 0.0, None)
    shared = sides[..., 0] * sides[..., 1]
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (first, second)]
    union = areas[0] + areas[1] - shared
    overlap = np.zeros(shared.shape, np.float32)
    np.divide(shared, union, out=overlap, where=union > 0)
    return overlap


def _folder_of(package: str) -> Path:
    """Where a package is installed, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"no package '{package}'")
    return Path(spec.submodule_search_locations[0])


def _linear_sum_assignment() -> Any:
    """The compiled function of scipy, without the 700 modules of `scipy.optimize` around it."""
    # Under a name of its own, so that scipy, if it is imported too, gets its own copy.
    name = "_lsap"
    spec = PathFinder.find_spec(name, [str(_folder_of("scipy") / "optimize")])
    if spec is None or spec.loader is None:
        raise ImportError(f"no compiled '{name}' in scipy.optimize")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop(name, None)
    return module.linear_sum_assignment


@contextmanager
def _replaced_modules(stand_ins: dict[str, ModuleType]) -> Iterator[None]:
    """Imports inside see the stand-ins; afterwards `sys.modules` is as it was."""

    def concerned() -> list[str]:
        return [
            name
            for name in list(sys.modules)
            if name in stand_ins or name.startswith(f"{_PACKAGE}.")
        ]

    before = {name: sys.modules.pop(name) for name in concerned()}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in concerned():
            del sys.modules[name]
        sys.modules.update(before)
