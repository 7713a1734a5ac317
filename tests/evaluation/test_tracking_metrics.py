"""IDF1, HOTA, MOTA and switches on cases with known values, and on published tracker output."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.errors import DatasetError
from streamreid.evaluation.track_files import TrackBoxes, boxes_of_rows, read_mot
from streamreid.evaluation.track_people import people_of_tracks
from streamreid.evaluation.tracking_metrics import box_overlap, evaluate_tracks
from streamreid.types import CameraId
from tests.shared_data import shared_path

A, B = CameraId("a"), CameraId("b")

_Row = tuple[int, int, float, float, float, float]


def _walk(identity: int, frames: range, x: float = 0.0) -> list[_Row]:
    return [(frame, identity, x, 0.0, x + 10.0, 20.0) for frame in frames]


def _boxes(*walks: list[_Row]) -> TrackBoxes:
    return boxes_of_rows([row for walk in walks for row in walk])


def test_a_perfect_result_is_perfect_everywhere() -> None:
    truth = {A: _boxes(_walk(1, range(10)), _walk(2, range(5, 15), x=50))}
    report = evaluate_tracks(truth, {A: _boxes(_walk(7, range(10)), _walk(3, range(5, 15), x=50))})
    for result in (report.single, report.multi, report.cameras[A]):
        assert (result.idf1, result.idp, result.idr, result.mota, result.hota) == (1, 1, 1, 1, 1)
        assert (result.switches, result.false_positives, result.misses) == (0, 0, 0)
        assert (result.truth_boxes, result.truth_identities, result.found_identities) == (20, 2, 2)


def test_one_switch_in_the_middle() -> None:
    truth = {A: _boxes(_walk(1, range(10)))}
    result = evaluate_tracks(truth, {A: _boxes(_walk(5, range(6)), _walk(6, range(6, 10)))}).single
    # The better half counts: 6 of 10 boxes; IDP = IDR = IDF1 = 0.6; MOTA = 1 - 1/10.
    assert (result.idf1, result.idp, result.idr) == pytest.approx((0.6, 0.6, 0.6))
    assert result.mota == pytest.approx(0.9)
    assert result.switches == 1
    # HOTA = sqrt(DetA * AssA), DetA = 1, AssA = (6 * 6/10 + 4 * 4/10) / 10.
    assert result.det_a == pytest.approx(1.0)
    assert result.ass_a == pytest.approx(0.52)
    assert result.hota == pytest.approx(np.sqrt(0.52))


def test_misses_and_false_boxes() -> None:
    truth = {A: _boxes(_walk(1, range(10)))}
    found = _boxes(_walk(1, range(8)), _walk(2, range(3), x=100))
    result = evaluate_tracks(truth, {A: found}).single
    # 8 found, 2 missed, 3 false: MOTA = 1 - 5/10, IDP = 8/11, IDR = 8/10, IDF1 = 16/21.
    assert result.mota == pytest.approx(0.5)
    assert (result.idp, result.idr) == pytest.approx((8 / 11, 0.8))
    assert result.idf1 == pytest.approx(16 / 21)
    assert (result.misses, result.false_positives) == (2, 3)


def test_a_person_renamed_in_the_second_camera_counts_over_cameras_only() -> None:
    truth = {A: _boxes(_walk(1, range(10))), B: _boxes(_walk(1, range(20, 30)))}
    same = {A: _boxes(_walk(4, range(10))), B: _boxes(_walk(4, range(20, 30)))}
    other = {A: _boxes(_walk(4, range(10))), B: _boxes(_walk(9, range(20, 30)))}
    assert evaluate_tracks(truth, same).multi.idf1 == pytest.approx(1.0)
    report = evaluate_tracks(truth, other)
    assert (report.single.idf1, report.multi.idf1) == pytest.approx((1.0, 0.5))
    assert (report.single.switches, report.multi.switches) == (0, 1)
    assert report.single.found_identities == report.multi.found_identities == 2


def test_cameras_that_are_not_in_step_are_ordered_by_their_clocks() -> None:
    truth = {A: _boxes(_walk(1, range(10))), B: _boxes(_walk(1, range(10)))}
    found = {A: _boxes(_walk(4, range(10))), B: _boxes(_walk(9, range(10)))}
    assert evaluate_tracks(truth, found).multi.switches > 1
    later = evaluate_tracks(
        truth, found, seconds=lambda camera, frame: frame + 60.0 * (camera == B)
    )
    assert later.multi.switches == 1


def test_two_people_given_one_name_in_two_cameras() -> None:
    truth = {A: _boxes(_walk(1, range(10))), B: _boxes(_walk(2, range(10)))}
    report = evaluate_tracks(
        truth, {A: _boxes(_walk(5, range(10))), B: _boxes(_walk(5, range(10)))}
    )
    assert report.single.idf1 == pytest.approx(1.0)
    assert report.multi.idf1 == pytest.approx(0.5)


def test_nothing_found_and_nothing_true() -> None:
    nothing = _boxes()
    walk = _boxes(_walk(1, range(4)))
    missed = evaluate_tracks({A: walk}, {}).single
    assert (missed.idf1, missed.mota, missed.misses) == (0.0, 0.0, 4)
    invented = evaluate_tracks({A: nothing}, {A: walk}).single
    assert (invented.idf1, invented.false_positives) == (0.0, 4)


def test_a_camera_without_truth_is_refused() -> None:
    walk = _boxes(_walk(1, range(4)))
    with pytest.raises(DatasetError, match="no truth for camera b; truth has a"):
        evaluate_tracks({A: walk}, {A: walk, B: walk})


@settings(max_examples=25, deadline=None)
@given(st.permutations([1, 2, 3]), st.integers(0, 1000))
def test_names_of_identities_do_not_matter(names: list[int], offset: int) -> None:
    walks = [_walk(number, range(number, 8), x=12.0 * number) for number in (1, 2, 3)]
    truth = {A: _boxes(*walks)}
    rng = np.random.default_rng(1)
    shaky = [
        (frame, identity, x + rng.uniform(-3, 3), 0.0, x + 10.0, 20.0)
        for walk in walks
        for frame, identity, x, *_ in walk
    ]
    renamed = [(frame, names[i - 1] + offset, *box) for frame, i, *box in shaky]
    first = evaluate_tracks(truth, {A: boxes_of_rows(shaky)}).multi
    second = evaluate_tracks(truth, {A: boxes_of_rows(renamed)}).multi  # type: ignore[arg-type]
    assert (first.idf1, first.hota, first.mota) == pytest.approx(
        (second.idf1, second.hota, second.mota)
    )


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 15, 10), 1 / 3),
        ((20, 20, 30, 30), 0.0),
        ((0, 0, 0, 0), 0.0),
    ],
)
def test_overlap(other: tuple[float, ...], expected: float) -> None:
    first = np.array([[0.0, 0, 10, 10]])
    assert box_overlap(first, np.array([other], np.float64))[0, 0] == pytest.approx(expected)


def test_tracks_belong_to_who_most_of_their_boxes_show() -> None:
    truth = {A: _boxes(_walk(1, range(10)), _walk(2, range(10), x=50))}
    found = {
        A: _boxes(_walk(11, range(8)), _walk(12, range(9), x=52), _walk(13, range(3), x=300)),
        B: _boxes(_walk(14, range(3))),
    }
    assert people_of_tracks(truth, found) == {11: 1, 12: 2, 13: None, 14: None}


@pytest.mark.parametrize(
    ("sequence", "idf1", "mota", "switches"),
    [("TUD-Campus", 55.8, 52.6, 7), ("TUD-Stadtmitte", 64.5, 56.4, 7)],
)
def test_published_tracker_output(sequence: str, idf1: float, mota: float, switches: int) -> None:
    """Figures of py-motmetrics 1.4.0 on the same files, IoU 0.5; they have one decimal."""
    camera = CameraId(sequence)
    truth = read_mot(shared_path(f"data/mot_text/{sequence}.gt.txt"), truth=True)
    found = read_mot(shared_path(f"data/mot_text/{sequence}.test.txt"))
    result = evaluate_tracks({camera: truth}, {camera: found}).single
    assert round(100 * result.idf1, 1) == idf1
    assert round(100 * result.mota, 1) == mota
    assert result.switches == switches


def test_published_tracker_output_over_all() -> None:
    """Figures of py-motmetrics 1.4.0, as above."""
    names = [CameraId("TUD-Campus"), CameraId("TUD-Stadtmitte")]
    truth = {n: read_mot(shared_path(f"data/mot_text/{n}.gt.txt"), truth=True) for n in names}
    found = {n: read_mot(shared_path(f"data/mot_text/{n}.test.txt")) for n in names}
    result = evaluate_tracks(truth, found).single
    per_cent = [round(100 * v, 1) for v in (result.idf1, result.mota, result.idp, result.idr)]
    assert per_cent == [62.4, 55.5, 79.9, 51.2]
    assert (result.false_positives, result.misses, result.switches) == (58, 602, 14)
