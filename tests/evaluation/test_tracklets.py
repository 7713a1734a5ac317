"""From images with times to tracklets, and the permutations and foldings of their clock."""

from pathlib import Path

import pytest

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import ImageRecord, load
from streamreid.evaluation.tracklets import folded, shuffled_in_camera, tracklets_of
from tests.shared_data import shared_path


def record(person: int, camera: int, time_s: float | None) -> ImageRecord:
    return ImageRecord(Path(f"{person}_{camera}_{time_s}.jpg"), person, camera, time_s)


RECORDS = [
    record(1, 0, 0.0),
    record(1, 0, 10.0),
    record(1, 0, 20.1),
    record(2, 0, 5.0),
    record(1, 1, 40.0),
    record(0, 0, 1.0),
    record(-1, 0, 1.0),
]


def test_gaps_start_a_new_tracklet_and_distractors_stay_out() -> None:
    found = tracklets_of(RECORDS)
    assert [(t.track, t.person, t.camera_id, t.times_s) for t in found] == [
        (1, 1, "c1", (0.0, 10.0)),
        (2, 2, "c1", (5.0,)),
        (3, 1, "c1", (20.1,)),
        (4, 1, "c2", (40.0,)),
    ]


def test_a_missing_time_is_named() -> None:
    with pytest.raises(DatasetError, match="has no time"):
        tracklets_of([record(1, 0, None)])
    with pytest.raises(DatasetError, match="no image of a person"):
        tracklets_of([record(0, 0, 1.0)])


def test_shuffling_permutes_starts_within_each_camera() -> None:
    found = tracklets_of(RECORDS)
    mixed = shuffled_in_camera(found, seed=3)
    for camera in ("c1", "c2"):
        starts = [
            sorted(t.started_at_s for t in group if t.camera_id == camera)
            for group in (found, mixed)
        ]
        assert starts[0] == pytest.approx(starts[1])
    lengths = {t.images: t.ended_at_s - t.started_at_s for t in found}
    for tracklet in mixed:
        assert tracklet.ended_at_s - tracklet.started_at_s == pytest.approx(
            lengths[tracklet.images]
        )
    assert [t.track for t in mixed] == [1, 2, 3, 4]


def test_folding_keeps_a_person_together() -> None:
    found = folded(tracklets_of([record(1, 0, 130.0), record(1, 1, 155.0), record(2, 0, 0.0)]), 100)
    times = {(t.person, t.camera_id): t.started_at_s for t in found}
    assert times == {(1, "c1"): 30.0, (1, "c2"): 55.0, (2, "c1"): 0.0}


def test_market_has_the_published_number_of_tracklets(tmp_path: Path) -> None:
    """Names alone are enough: 1,606 tracklets of 251 people."""
    splits = shared_path("data/market1501_splits")
    for name in ("query.txt", "gallery.txt"):
        for line in (splits / name).read_text().splitlines():
            (tmp_path / Path(line.strip()).name).touch()
    data = load(
        "folder",
        tmp_path,
        query=str(splits / "query.txt"),
        gallery=str(splits / "gallery.txt"),
        clock=splits / "clock.csv",
        required=("query", "gallery"),
    )
    found = tracklets_of((*data.query, *data.gallery))
    assert len(found) == 1606
    assert len({tracklet.person for tracklet in found}) == 251
