"""The whole offline chain (scores, re-ranking, TLift, metrics) against the golden pipeline."""

from typing import Any

import numpy as np
import pytest
import torch

from streamreid.evaluation.ranking import evaluate_ranking
from streamreid.evaluation.reranking import k_reciprocal_rerank
from streamreid.reid.matching import match_scores
from streamreid.reid.qaconv import QAConv, fold
from streamreid.tlift.rescore import tlift
from tests.golden_data import golden_state, load_golden


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    return load_golden("pipeline")


def distance_of(arrays: dict[str, Any], kind: str, left: str, right: str) -> Any:
    """Distance of two sets of golden maps: 1 - sigmoid(score / 10), or the negated score."""
    maps = torch.from_numpy(arrays[left])
    channels, height, width = maps.shape[1:]
    layer = QAConv(channels, height, width)
    layer.load_reference_state(golden_state(arrays, "m_"))
    score = match_scores(maps, torch.from_numpy(arrays[right]), fold(layer))
    return (-score if kind == "neg" else 1 - torch.sigmoid(score / 10)).numpy()


def lifted(arrays: dict[str, Any], score: Any) -> Any:
    return tlift(
        score,
        query_camera=arrays["q_cam"],
        query_time_s=arrays["q_time"],
        gallery_camera=arrays["g_cam"],
        gallery_time_s=arrays["g_time"],
    )


def figures(arrays: dict[str, Any], distance: Any) -> list[float]:
    result = evaluate_ranking(
        distance, arrays["q_id"], arrays["g_id"], arrays["q_cam"], arrays["g_cam"]
    )
    return [result.rank(1), result.mean_ap]


@pytest.mark.parametrize("kind", ["sig", "neg"])
def test_each_stage_equals_golden_from_its_stored_input(arrays: dict[str, Any], kind: str) -> None:
    distance = distance_of(arrays, kind, "query", "gallery")
    np.testing.assert_allclose(distance, arrays[f"{kind}_dist"], atol=2e-5, rtol=0)
    from_rerank = lifted(arrays, 1 - arrays[f"{kind}_rerank"])
    np.testing.assert_allclose(from_rerank, arrays[f"{kind}_tlift"], atol=1e-6, rtol=0)
    stages = [arrays[f"{kind}_dist"], arrays[f"{kind}_rerank"], 1 - arrays[f"{kind}_tlift"]]
    found = [figures(arrays, stage) for stage in stages]
    np.testing.assert_allclose(found, arrays[f"{kind}_metrics"], atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", ["sig", "neg"])
def test_the_chain_equals_golden(arrays: dict[str, Any], kind: str) -> None:
    across = distance_of(arrays, kind, "query", "gallery")
    own = distance_of(arrays, kind, "query", "query")
    others = distance_of(arrays, kind, "gallery", "gallery")
    everything = np.block([[own, across], [across.T, others]])
    reranked = k_reciprocal_rerank(everything, len(own))
    np.testing.assert_allclose(reranked, arrays[f"{kind}_rerank"], atol=5e-3, rtol=0)
    chained = lifted(arrays, 1 - reranked)
    np.testing.assert_allclose(chained, arrays[f"{kind}_tlift"], atol=3e-2, rtol=0)
    found = [figures(arrays, stage) for stage in (across, reranked, 1 - chained)]
    np.testing.assert_allclose(found, arrays[f"{kind}_metrics"], atol=1e-3, rtol=0)


def test_tlift_without_reranking_equals_golden(arrays: dict[str, Any]) -> None:
    found = lifted(arrays, 1 - arrays["sig_dist"])
    np.testing.assert_allclose(found, arrays["sig_tlift_norr"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        figures(arrays, 1 - arrays["sig_tlift_norr"]),
        arrays["sig_tlift_norr_metrics"],
        atol=1e-9,
        rtol=0,
    )
