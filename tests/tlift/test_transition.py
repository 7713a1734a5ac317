"""Learned transition times: what is learned, what is neutral, what survives a restart."""

import math
import struct

import numpy as np
import pytest

from streamreid.tlift.histogram import CENTRES_S, RANGE_S, read_histogram
from streamreid.tlift.transition import TransitionModel
from streamreid.types import CameraId

A, B, C = CameraId("a"), CameraId("b"), CameraId("c")


def taught(median_s: float = 40.0, count: int = 300, *, seed: int = 1) -> TransitionModel:
    rng = np.random.default_rng(seed)
    model = TransitionModel()
    for number, delta_s in enumerate(median_s * np.exp(0.3 * rng.standard_normal(count))):
        model.learn(A, B, float(delta_s), at_s=float(number))
        for other_s in rng.uniform(0, 600, 5):
            model.learn_background(float(other_s), at_s=float(number))
    return model


def test_without_evidence_it_is_neutral() -> None:
    assert TransitionModel().log_ratio(A, B, 30.0, at_s=0.0) is None


@pytest.mark.parametrize("median_s", [3.0, 40.0, 900.0])
def test_learns_the_median_within_a_tenth(median_s: float) -> None:
    model = taught(median_s)
    assert model.quantile_s(A, B, 0.5, at_s=300.0) == pytest.approx(median_s, rel=0.1)
    assert model.support(A, B, at_s=300.0) == pytest.approx(300.0, rel=0.01)


def test_usual_times_speak_for_a_match_and_unusual_ones_against() -> None:
    model = taught()
    usual = model.log_ratio(A, B, 40.0, at_s=300.0)
    unusual = model.log_ratio(A, B, 400.0, at_s=300.0)
    assert usual is not None
    assert unusual is not None
    assert usual > 1.0
    assert unusual < -1.0


def test_times_that_are_just_those_of_any_pair_say_nothing() -> None:
    rng = np.random.default_rng(0)
    model = TransitionModel()
    for number in range(400):
        model.learn(A, B, float(rng.uniform(0, 600)), at_s=float(number))
        for other_s in rng.uniform(0, 600, 10):
            model.learn_background(float(other_s), at_s=float(number))
    ratios = [model.log_ratio(A, B, float(delta), at_s=400.0) for delta in range(20, 600, 20)]
    assert float(np.mean([abs(ratio) for ratio in ratios if ratio is not None])) < 0.2


def test_a_new_pair_leans_on_the_others_of_its_kind() -> None:
    model = taught()
    near = model.log_ratio(B, C, 40.0, at_s=300.0)
    assert near is not None
    assert near > 0.5
    assert model.support(B, C, at_s=300.0) == 0.0
    assert model.log_ratio(C, C, 40.0, at_s=300.0) is None


def test_the_distribution_is_one() -> None:
    model = taught()
    assert model.distribution(A, B, at_s=300.0).sum() == pytest.approx(1.0)
    assert len(model.density(A, B, at_s=300.0)) == len(CENTRES_S)


def test_old_observations_fade() -> None:
    model = TransitionModel(half_life_s=100.0)
    model.learn(A, B, 10.0, at_s=0.0)
    assert model.support(A, B, at_s=300.0) == pytest.approx(0.125)


def test_bytes_bring_everything_back() -> None:
    """Also when it was learned a while ago and another pair since, so that it faded meanwhile."""
    model = taught()
    model.learn(B, C, 5.0, at_s=5e5)
    other = TransitionModel()
    for way in ((A, B), (B, C)):
        other.load(*way, model.dump(*way, at_s=5e5), updated_at_s=5e5)
    others = model.dump_background(at_s=5e5)
    other.load_background(others, updated_at_s=5e5)
    np.testing.assert_allclose(
        other.distribution(A, B, at_s=5e5), model.distribution(A, B, at_s=5e5), rtol=1e-12
    )
    left = 2 ** (-5e5 / (7 * 86400))
    assert read_histogram(model.dump(A, B, at_s=5e5)).sum() == pytest.approx(300 * left, rel=0.01)
    assert sum(others) == pytest.approx(1500.0 * left, rel=0.01)
    for way in ((A, B), (B, C), (A, A), (C, A)):
        ratio = model.log_ratio(*way, 40.0, at_s=5e5)
        assert other.log_ratio(*way, 40.0, at_s=9e5) == (
            None if ratio is None else pytest.approx(ratio, rel=1e-9)
        )


def test_a_histogram_of_the_version_before_is_read() -> None:
    """It held the times of believed matches and of all compared tracks, in half the precision."""
    counts = np.zeros(322, "<f4")
    counts[[80, 200]] = 3.5, 7.0
    read = read_histogram(b"TTH1" + struct.pack("<HH", 161, 0) + counts.tobytes())
    assert (len(read), read[80], read.sum()) == (161, 3.5, 3.5)


@pytest.mark.parametrize("counts", [[], [1.0] * 160, [-1.0] * 161, [math.inf] * 161])
def test_refuses_counts_that_are_none(counts: list[float]) -> None:
    with pytest.raises(ValueError, match="161 counts"):
        TransitionModel().load_background(counts, updated_at_s=0.0)


@pytest.mark.parametrize("data", [b"", b"TTH2", b"x" * 1296, b"TTH2" + b"\0" * 1292])
def test_refuses_foreign_bytes(data: bytes) -> None:
    with pytest.raises(ValueError, match="histogram"):
        TransitionModel().load(A, B, data, updated_at_s=0.0)


def test_reset_and_freeze() -> None:
    model = taught()
    model.frozen = True
    assert not model.learn(A, B, 5.0, at_s=400.0)
    assert model.reset(source=A) == 1
    assert list(model.pairs()) == []
    assert model.log_ratio(A, B, 40.0, at_s=400.0) is None


def test_overlapping_views_show() -> None:
    model = TransitionModel()
    for number in range(40):
        source, target = (A, B) if number % 2 else (B, A)
        model.learn(source, target, -3.0 if number % 4 else 4.0, at_s=0.0)
    assert model.overlap_share(A, B, at_s=0.0) == pytest.approx(0.75)
    assert model.overlap_share(A, C, at_s=0.0) == 0.0


@pytest.mark.parametrize("delta_s", [RANGE_S, -RANGE_S, math.inf, math.nan])
def test_ignores_what_is_out_of_range(delta_s: float) -> None:
    model = TransitionModel()
    assert not model.learn(A, B, delta_s, at_s=0.0)
    assert model.log_ratio(A, B, delta_s, at_s=0.0) is None


def passing(
    model: TransitionModel, source: CameraId, target: CameraId, deltas: list[float]
) -> None:
    for number, delta_s in enumerate(deltas):
        model.learn(source, target, delta_s, at_s=float(number))


@pytest.mark.parametrize(
    ("there", "back", "expected"),
    [
        pytest.param([-3.0, -2.0, 1.0] * 4, [-3.0, 2.0] * 4, True, id="around zero both ways"),
        pytest.param([-3.0] * 12, [], True, id="one-way"),
        pytest.param([30.0] * 20, [32.0] * 20, False, id="apart"),
        pytest.param([-3.0] * 3, [-2.0] * 3, False, id="too few"),
        pytest.param([-4.0] * 12, [40.0] * 12, False, id="one direction only: a wrong clock"),
    ],
)
def test_overlapping_views_are_recognised(
    there: list[float], back: list[float], expected: bool
) -> None:
    model = TransitionModel()
    passing(model, A, B, there)
    passing(model, B, A, back)
    assert model.views_overlap(A, B) == model.views_overlap(B, A) == expected
    assert model.kind(A, B) == ("overlapping" if expected else "apart")


def test_being_there_at_once_counts_against_cameras_apart_and_not_against_overlapping_ones() -> (
    None
):
    """A pair of its own has no evidence yet; what others of its kind show must not condemn it."""
    told, untold = TransitionModel(overlaps=[(B, C)]), TransitionModel()
    for model in (told, untold):
        for number in range(60):
            model.learn(A, B, 30.0, at_s=float(number))
            for other_s in (-2.0, 5.0, 30.0, 200.0):
                model.learn_background(other_s, at_s=float(number))
    apart = untold.log_ratio(B, C, -2.0, at_s=60.0)
    assert apart is not None
    assert apart < -1.0
    assert told.log_ratio(B, C, -2.0, at_s=60.0) is None


def test_a_pair_that_turns_out_to_overlap_leaves_the_pool_of_the_others() -> None:
    model = TransitionModel()
    passing(model, A, B, [-2.0] * 9)
    assert model.support_of_kind(A, C, at_s=9.0) == pytest.approx(9.0, rel=0.01)
    passing(model, B, A, [-2.0] * 3)
    assert model.support_of_kind(A, C, at_s=9.0) == pytest.approx(0.0, abs=1e-3)
    assert model.support_of_kind(A, B, at_s=9.0) == pytest.approx(12.0, rel=0.01)
    model.reset()
    assert model.support_of_kind(A, B, at_s=9.0) == pytest.approx(0.0, abs=1e-3)
    assert not model.views_overlap(A, B)


def test_what_was_recognised_comes_back_from_the_store() -> None:
    model, other = TransitionModel(), TransitionModel()
    passing(model, A, B, [-2.0] * 12)
    other.load(A, B, model.dump(A, B, at_s=12.0), updated_at_s=12.0)
    assert other.views_overlap(A, B)
    assert other.support_of_kind(A, B, at_s=12.0) == pytest.approx(12.0, rel=0.01)


@pytest.mark.parametrize(
    ("apart", "at_once", "expected"),
    [(60, 0, False), (95, 0, True), (95, 2, False), (300, 2, True), (300, 12, False)],
)
def test_disjoint_views_are_learned_with_enough_support(
    apart: int, at_once: int, expected: bool
) -> None:
    model = TransitionModel()
    passing(model, A, B, [30.0] * (apart // 2) + [-3.0] * at_once)
    passing(model, B, A, [25.0] * (apart - apart // 2))
    assert model.never_at_once(A, B, at_s=1.0) == model.never_at_once(B, A, at_s=1.0) == expected


def test_views_that_are_known_to_overlap_are_never_learned_to_be_disjoint() -> None:
    model = TransitionModel(overlaps=[(B, A)])
    passing(model, A, B, [30.0] * 300)
    assert not model.never_at_once(A, B, at_s=300.0)


def test_the_typical_time_is_that_of_the_main_mode() -> None:
    """A third of wrong matches at any time moves the median, not the typical time."""
    model = taught(40.0, 200)
    rng = np.random.default_rng(3)
    passing(model, A, B, rng.uniform(0, 1500, 100).tolist())
    assert model.quantile_s(A, B, 0.5, at_s=300.0) > 46.0
    assert model.typical_s(A, B, at_s=300.0) == pytest.approx(40.0, rel=0.08)
    assert math.isnan(model.typical_s(B, C, at_s=300.0))
