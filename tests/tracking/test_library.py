"""ByteTrack loaded alone does what the whole library does, and costs a camera worker less."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from streamreid.tracking import library
from streamreid.tracking.library import ByteTrack, intersection_over_union


def _follow(bytetrack: ByteTrack, seed: int) -> list[tuple[npt.NDArray[np.float64], list[int]]]:
    rng = np.random.default_rng(seed)
    tracker = bytetrack.tracker(
        lost_track_buffer=60,
        frame_rate=5.0,
        track_activation_threshold=0.35,
        minimum_consecutive_frames=2,
        minimum_iou_threshold=0.15,
        high_conf_det_threshold=0.35,
    )
    corners = rng.uniform(0, 600, (8, 2))
    speed = rng.normal(0, 8, (8, 2))
    followed = []
    for step in range(60):
        corners += speed + rng.normal(0, 2, (8, 2))
        seen = rng.random(8) > 0.2
        boxes = np.concatenate([corners, corners + np.array([40, 110])], 1)[seen]
        found = tracker.update(
            bytetrack.detections(xyxy=boxes, confidence=rng.uniform(0.1, 1.0, len(boxes))),
            timestamp=step / 5,
        )
        followed.append((np.asarray(found.xyxy), found.tracker_id.tolist()))
    return followed


@pytest.mark.parametrize("seed", range(4))
def test_the_stand_ins_change_no_track(seed: int) -> None:
    alone, whole = library.load_alone(), library.load_whole()
    assert alone.tracker is not whole.tracker
    for (boxes, ids), (expected_boxes, expected_ids) in zip(
        _follow(alone, seed), _follow(whole, seed), strict=True
    ):
        assert ids == expected_ids
        np.testing.assert_array_equal(boxes, expected_boxes)


def test_the_overlap_is_that_of_supervision() -> None:
    from supervision import box_iou_batch

    rng = np.random.default_rng(0)
    corners, sides = rng.uniform(0, 50, (2, 2, 40, 2))
    first, second = np.concatenate([corners, corners + sides], axis=2)
    first[0] = second[0] = 5.0
    np.testing.assert_array_equal(
        intersection_over_union(first, second), box_iou_batch(first, second)
    )


def test_a_camera_worker_carries_neither_scipy_nor_supervision() -> None:
    code = (
        "import sys\n"
        "import workers.camera\n"
        "from streamreid.tracking.tracker import CameraTracker\n"
        "from streamreid.types import CameraId\n"
        "CameraTracker(CameraId('door'), detect_fps=5.0)\n"
        "heavy = {'scipy', 'supervision', 'trackers', 'requests', 'torch', 'matplotlib'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_was_imported_before_is_what_is_imported_after() -> None:
    import scipy.optimize

    before = {name: module for name, module in sys.modules.items() if "scipy" in name}
    library.load_alone()
    assert {name: module for name, module in sys.modules.items() if "scipy" in name} == before
    assert sys.modules["scipy.optimize"] is scipy.optimize


def test_another_layout_falls_back_to_the_whole_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_TRACKER_MODULE", "trackers.core.moved.tracker")
    library.load_bytetrack.cache_clear()
    try:
        assert library.load_bytetrack() == library.load_whole()
    finally:
        library.load_bytetrack.cache_clear()
