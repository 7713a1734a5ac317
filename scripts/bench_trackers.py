#!/usr/bin/env python3
"""Which tracker of Roboflow `trackers` keeps people apart at the few looks a second that we take.

Ground-truth boxes (MOT text) are thinned to 5 and 2.5 looks a second and made worse as a detector
would: 15 % missed, edges moved by 3 % of the height, confidence spread over 0.2 to 0.95. IDF1, IDP
and switches by our evaluation; time per look in processor milliseconds.

Example: scripts/bench_trackers.py mot_text/TUD-Campus.gt.txt mot_text/TUD-Stadtmitte.gt.txt
"""

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import supervision
import trackers

from streamreid.evaluation.track_files import TrackBoxes
from streamreid.evaluation.tracking_metrics import evaluate_tracks
from streamreid.types import CameraId

FPS, LOST_S, CONFIDENCE, SEEDS = 25, 2.0, 0.35, 6
CAMERA = CameraId("bench")


def make_tracker(name: str, looks: float, minimum_iou: float) -> Any:
    """A tracker with the settings that our camera worker would give it."""
    shared = {"lost_track_buffer": round(30 * LOST_S), "frame_rate": looks}
    start = {"track_activation_threshold": CONFIDENCE}
    high = {"high_conf_det_threshold": CONFIDENCE}
    iou = {"minimum_iou_threshold": minimum_iou}
    if name == "SORT":
        return trackers.SORTTracker(**shared, **start, **iou)
    if name == "ByteTrack":
        return trackers.ByteTrackTracker(**shared, **start, **high, **iou)
    if name == "OC-SORT":
        return trackers.OCSORTTracker(**shared, **high, **iou)
    if name == "C-BIoU":
        return trackers.CBIoUTracker(**shared, **start, **high)
    return trackers.BoTSORTTracker(**shared, **start, **high, enable_cmc=False)


def boxes_of(rows: np.ndarray) -> np.ndarray:
    """x1 y1 x2 y2 of MOT rows."""
    return np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)


def run(
    rows: np.ndarray, tracker: Any, looks: float, rng: np.random.Generator | None
) -> tuple[TrackBoxes, TrackBoxes, float]:
    """Track one sequence; (truth, found, processor seconds per look)."""
    true_rows, found_rows, spent_s = [], [], []
    for number in range(1, int(rows[:, 0].max()) + 1, round(FPS / looks)):
        people = rows[rows[:, 0] == number]
        boxes = boxes_of(people)
        true_rows += [(number, int(p[1]), *b) for p, b in zip(people, boxes, strict=True)]
        confidence = np.full(len(boxes), 0.8)
        if rng is not None:
            height = boxes[:, 3:4] - boxes[:, 1:2]
            moved = boxes + rng.normal(0, 0.03, boxes.shape) * height
            boxes = moved[rng.random(len(boxes)) > 0.15]
            confidence = rng.uniform(0.2, 0.95, len(boxes))
        began_s = time.process_time()
        found = tracker.update(
            supervision.Detections(xyxy=boxes, confidence=confidence), timestamp=number / FPS
        )
        spent_s.append(time.process_time() - began_s)
        if len(found):
            found_rows += [
                (number, int(track), *box)
                for track, box in zip(found.tracker_id, found.xyxy, strict=True)
                if track >= 0
            ]
    return _boxes(true_rows), _boxes(found_rows), float(np.mean(spent_s))


def _boxes(rows: list[tuple[Any, ...]]) -> TrackBoxes:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return TrackBoxes(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:])


def main() -> int:
    """Print one table row per tracker, rate and overlap threshold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path, nargs="+", help="MOT text at 25 fps")
    chosen = parser.parse_args()
    sequences = [np.genfromtxt(path, delimiter=",") for path in chosen.truth]
    warnings.simplefilter("ignore")
    print("| tracker | looks/s | least IoU | IDF1 | IDP | switches | ms per look |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for looks in (5.0, 2.5):
        for name in ("SORT", "ByteTrack", "OC-SORT", "C-BIoU", "BoT-SORT"):
            for minimum_iou in (0.02, 0.15, 0.3) if name == "ByteTrack" else (0.15,):
                results = []
                for rows in sequences:
                    for seed in range(SEEDS):
                        tracker = make_tracker(name, looks, minimum_iou)
                        rng = np.random.default_rng(seed)
                        truth, found, spent_s = run(rows, tracker, looks, rng)
                        one = evaluate_tracks({CAMERA: truth}, {CAMERA: found}).single
                        results.append((one.idf1, one.idp, one.switches, 1e3 * spent_s))
                idf1, idp, switches, spent_ms = np.mean(results, axis=0)
                print(
                    f"| {name} | {looks} | {minimum_iou} | {idf1:.3f} | {idp:.3f} | {switches:.1f} "
                    f"| {spent_ms:.2f} |"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
