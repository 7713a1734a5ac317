"""The live state equals offline TLift, and each of its modes sees what it may see."""

import itertools

import numpy as np
import pytest

from streamreid.tlift.cooccurrence import CooccurrenceState
from streamreid.tlift.rescore import tlift
from streamreid.types import CameraId
from tests.golden_data import load_golden

TOLERANCE = {"tlift_f32": 1e-6, "tlift_f64": 1e-12, "tlift_ties": 1e-12}


def name(camera: int) -> CameraId:
    return CameraId(f"c{camera}")


def live_tlift(golden: dict[str, np.ndarray], params: np.ndarray, lag_s: float) -> np.ndarray:
    """Build the lists in order of gallery time, then decide about every query."""
    tau_s, sigma_s, pivots, alpha = params
    state = CooccurrenceState(tau_s=tau_s, sigma_s=sigma_s, pivots=int(pivots), alpha=alpha)
    score = golden["score"].astype(np.float64)
    for query, (camera, time_s) in enumerate(
        zip(golden["prob_cam"], golden["prob_time"], strict=True)
    ):
        state.add_query(query, name(camera), float(time_s))
    for item in np.argsort(golden["gal_time"], kind="stable"):
        for query in range(len(score)):
            state.push(
                query,
                name(golden["gal_cam"][item]),
                float(golden["gal_time"][item]),
                float(score[query, item]),
            )
    lifted = np.empty_like(score)
    for query, camera in itertools.product(range(len(score)), np.unique(golden["gal_cam"])):
        items = golden["gal_cam"] == camera
        lifted[query, items] = state.rescore(
            name(golden["prob_cam"][query]),
            float(golden["prob_time"][query]),
            name(camera),
            golden["gal_time"][items].astype(np.float64),
            score[query, items],
            lag_s=lag_s,
        )
    return lifted


@pytest.mark.parametrize("file", sorted(TOLERANCE))
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("lag_in_tau", [1.0, 3.0])
def test_equals_the_reference_when_the_lag_covers_tau(
    file: str, number: int, lag_in_tau: float
) -> None:
    golden = load_golden(file)
    params = golden[f"params_{number}"]
    lifted = live_tlift(golden, params, lag_in_tau * float(params[0]))
    assert np.abs(lifted - golden[f"lifted_{number}"]).max() <= TOLERANCE[file]


def test_a_short_lag_sees_only_who_came_before() -> None:
    """Causal mode equals offline TLift on a query set without later companions."""
    rng = np.random.default_rng(3)
    count, lag_s = 30, 15.0
    golden = {
        "score": rng.random((count, 40)),
        "prob_cam": rng.integers(0, 2, count),
        "prob_time": rng.uniform(0, 300, count),
        "gal_cam": rng.integers(0, 3, 40),
        "gal_time": rng.uniform(0, 300, 40),
    }
    params = np.array([60.0, 50.0, 5, 0.2])
    live = live_tlift(golden, params, lag_s)
    for query in range(count):
        seen = golden["prob_time"] - golden["prob_time"][query] <= lag_s
        expected = tlift(
            golden["score"][seen],
            query_camera=golden["prob_cam"][seen],
            query_time_s=golden["prob_time"][seen],
            gallery_camera=golden["gal_cam"],
            gallery_time_s=golden["gal_time"],
            tau_s=60.0,
            sigma_s=50.0,
            pivots=5,
            alpha=0.2,
        )[np.flatnonzero(seen).tolist().index(query)]
        np.testing.assert_allclose(live[query], expected, atol=1e-12)


def test_a_constant_clock_shift_of_one_camera_changes_nothing() -> None:
    golden = load_golden("tlift_f64")
    shifted = dict(golden)
    for role in ("prob", "gal"):
        shifted[f"{role}_time"] = golden[f"{role}_time"] + 4096.0 * (golden[f"{role}_cam"] == 1)
    params = golden["params_0"]
    np.testing.assert_allclose(
        live_tlift(shifted, params, 100.0), live_tlift(golden, params, 100.0), atol=1e-9
    )


def test_lists_stay_short_and_expire() -> None:
    state = CooccurrenceState(pivots=3)
    state.add_query(1, name(0), 0.0)
    state.add_query(2, name(0), 50.0)
    for number in range(100):
        state.push(1, name(1), float(number), number / 100)
    assert len(state._queries[1].lists[name(1)]) == 3
    assert state.expire(25.0) == 1
    assert 1 not in state
    assert 2 in state
    state.push(1, name(1), 0.0, 0.5)
    assert state.companions(name(0), 40.0, 100.0) == [2]


def test_without_any_match_there_is_no_weight() -> None:
    state = CooccurrenceState()
    state.add_query(1, name(0), 0.0)
    assert state.weights([1], name(1), np.zeros(1)) is None
