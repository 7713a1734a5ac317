"""IDF1, HOTA, MOTA and switches, in one camera and over all cameras; TrackEval does the counting.

Source: TrackEval (MIT), classes HOTA, CLEAR and Identity; our part is the data they are given and
the names of what comes back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from streamreid.errors import DatasetError
from streamreid.evaluation.track_files import TrackBoxes
from streamreid.types import CameraId, Float64Array, Int64Array

MATCH_IOU = 0.5
"""Overlap from which a box counts as found, for IDF1 and MOTA (HOTA averages 0.05 to 0.95)."""


@dataclass(frozen=True, slots=True)
class TrackingResult:
    """Tracking quality; all rates are fractions.

    Attributes:
        idf1: Identification F1 (Ristani et al., 2016).
        idp: Identification precision.
        idr: Identification recall.
        mota: Multi-object tracking accuracy (Bernardin and Stiefelhagen, 2008).
        hota: Higher-order tracking accuracy, mean over thresholds (Luiten et al., 2021).
        det_a: Detection part of HOTA.
        ass_a: Association part of HOTA.
        switches: How often a person's identity changed.
        false_positives: Boxes without a person.
        misses: People without a box.
        truth_boxes: Boxes in the truth.
        truth_identities: People in the truth.
        found_identities: Identities in what is judged.
    """

    idf1: float
    idp: float
    idr: float
    mota: float
    hota: float
    det_a: float
    ass_a: float
    switches: int
    false_positives: int
    misses: int
    truth_boxes: int
    truth_identities: int
    found_identities: int


@dataclass(frozen=True, slots=True)
class TrackingReport:
    """Results per camera, over all cameras one by one, and with identities of the whole network.

    Attributes:
        cameras: Each camera by itself.
        single: All cameras together, an identity counting anew in every camera.
        multi: All cameras as one: who is the same person in another camera matters. Its MOTA and
            switches follow each person over the cameras in order of time.
    """

    cameras: Mapping[CameraId, TrackingResult]
    single: TrackingResult
    multi: TrackingResult


def evaluate_tracks(
    truth: Mapping[CameraId, TrackBoxes],
    found: Mapping[CameraId, TrackBoxes],
    *,
    seconds: Callable[[CameraId, int], float] | None = None,
) -> TrackingReport:
    """Judge tracks against the truth.

    Args:
        truth: True boxes per camera.
        found: Boxes to be judged; identities mean the same in all cameras.
        seconds: When a camera's frame was taken, for the order of moments over cameras; by default
            equal frame numbers are one moment.

    Returns:
        The report.

    Raises:
        DatasetError: If the two have no camera in common, or judge a camera without truth.
    """
    unknown = sorted(set(found) - set(truth))
    if unknown:
        raise DatasetError(
            f"no truth for camera {', '.join(unknown)}; truth has {', '.join(sorted(truth))}"
        )
    nothing = TrackBoxes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)))
    pairs = {camera: (boxes, found.get(camera, nothing)) for camera, boxes in truth.items()}
    when = seconds or (lambda _, frame: float(frame))
    moments = {camera: _moments(*pair, partial(when, camera)) for camera, pair in pairs.items()}
    raw = {camera: _count([own]) for camera, own in moments.items()}
    multi = _count(list(moments.values()))
    return TrackingReport(
        cameras={camera: _result(counted) for camera, counted in raw.items()},
        single=_result(_combined(raw)),
        multi=_result(multi),
    )


@dataclass(frozen=True, slots=True)
class _Moment:
    """The boxes of one camera at one time."""

    at_s: float
    truth_ids: Int64Array
    found_ids: Int64Array
    overlap: Float64Array


def _moments(truth: TrackBoxes, found: TrackBoxes, when: Callable[[int], float]) -> list[_Moment]:
    moments = []
    for time in np.union1d(truth.time, found.time).tolist():
        true_rows, found_rows = truth.time == time, found.time == time
        moments.append(
            _Moment(
                when(time),
                truth.identity[true_rows],
                found.identity[found_rows],
                box_overlap(truth.boxes_xyxy[true_rows], found.boxes_xyxy[found_rows]),
            )
        )
    return moments


def box_overlap(a_xyxy: Float64Array, b_xyxy: Float64Array) -> Float64Array:
    """Intersection over union of every pair, shape `(len(a), len(b))`."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=2)
    area_a = np.prod(a_xyxy[:, 2:] - a_xyxy[:, :2], axis=1)
    area_b = np.prod(b_xyxy[:, 2:] - b_xyxy[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def _count(cameras: Sequence[Sequence[_Moment]]) -> dict[str, Any]:
    """Run TrackEval on moments of one or more cameras in order of time."""
    moments = sorted(
        (moment for camera in cameras for moment in camera), key=lambda moment: moment.at_s
    )
    truth_ids = _distinct([moment.truth_ids for moment in moments])
    found_ids = _distinct([moment.found_ids for moment in moments])
    data = {
        "num_timesteps": len(moments),
        "num_gt_ids": len(truth_ids),
        "num_tracker_ids": len(found_ids),
        "num_gt_dets": sum(len(moment.truth_ids) for moment in moments),
        "num_tracker_dets": sum(len(moment.found_ids) for moment in moments),
        "gt_ids": [np.searchsorted(truth_ids, moment.truth_ids) for moment in moments],
        "tracker_ids": [np.searchsorted(found_ids, moment.found_ids) for moment in moments],
        "similarity_scores": [moment.overlap for moment in moments],
    }
    counted: dict[str, Any] = {
        name: metric.eval_sequence(data) for name, metric in _library_metrics().items()
    }
    counted["sizes"] = (data["num_gt_dets"], data["num_gt_ids"], data["num_tracker_ids"])
    return counted


def _distinct(identities: Sequence[Int64Array]) -> Int64Array:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *identities]))


def _library_metrics() -> dict[str, Any]:
    """TrackEval's counters, by the names used here."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    # Without PRINT_CONFIG=False the library writes its settings to stdout.
    config = {"THRESHOLD": MATCH_IOU, "PRINT_CONFIG": False}
    metrics: tuple[Any, Any, Any] = (HOTA, CLEAR, Identity)
    hota, clear, identity = metrics
    return {"hota": hota(), "clear": clear(config), "identity": identity(config)}


def _combined(raw: Mapping[CameraId, dict[str, Any]]) -> dict[str, Any]:
    combined: dict[str, Any] = {
        name: metric.combine_sequences({camera: raw[camera][name] for camera in raw})
        for name, metric in _library_metrics().items()
    }
    combined["sizes"] = tuple(
        sum(counted["sizes"][place] for counted in raw.values()) for place in range(3)
    )
    return combined


def _result(counted: Mapping[str, Any]) -> TrackingResult:
    identity, clear, hota = counted["identity"], counted["clear"], counted["hota"]
    truth_boxes, truth_identities, found_identities = counted["sizes"]
    return TrackingResult(
        idf1=float(identity["IDF1"]),
        idp=float(identity["IDP"]),
        idr=float(identity["IDR"]),
        mota=float(clear["MOTA"]),
        hota=float(np.mean(hota["HOTA"])),
        det_a=float(np.mean(hota["DetA"])),
        ass_a=float(np.mean(hota["AssA"])),
        switches=int(clear["IDSW"]),
        false_positives=int(clear["CLR_FP"]),
        misses=int(clear["CLR_FN"]),
        truth_boxes=int(truth_boxes),
        truth_identities=int(truth_identities),
        found_identities=int(found_identities),
    )
