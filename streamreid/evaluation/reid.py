"""Evaluates re-identification weights on a data set: features, scores, stages, and a summary."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from streamreid.evaluation.datasets import Dataset
from streamreid.evaluation.features import BrokenImage, Embed, Features, Progress, extract
from streamreid.evaluation.stages import (
    LIFT_OF_PLAIN_SCORES,
    LIFT_OF_RERANKED_SCORES,
    PUBLISHED_LIFT,
    Scores,
    Stage,
    StageName,
    check_records,
    evaluate_stages,
    pair_count,
    score_pairs,
)
from streamreid.reid.qaconv import FoldedHead
from streamreid.reid.weight_file import Calibration
from streamreid.types import Float32Array

RANKS = (1, 5, 10, 20)


class ProgressBars(Protocol):
    """Shows how far the long steps are."""

    def start(self, step: str, total: int) -> Progress:
        """Begin a step of `total` units and return what to call with every few done."""


class NoProgress:
    """For tests and programs: shows nothing."""

    def start(self, step: str, total: int) -> Progress:
        """Return a function that does nothing."""
        del step, total
        return lambda _: None


@dataclass(frozen=True, slots=True, eq=False)
class Matcher:
    """The parts of loaded weights that an evaluation needs.

    Attributes:
        name: Name for tables.
        digest: sha256 of the weights file.
        embed: Crops to feature maps.
        head: The folded matching layer.
        calibration: From logit to probability.
    """

    name: str
    digest: str
    embed: Embed
    head: FoldedHead
    calibration: Calibration


@dataclass(frozen=True, slots=True, eq=False)
class ReidEvaluation:
    """Everything that came out of evaluating one data set.

    Attributes:
        dataset: Name of the data set.
        weights: Name of the weights.
        weights_digest: sha256 of the weights file.
        clock: Where the times come from.
        query: Features and records of the queries that could be read.
        gallery: The same of the gallery.
        scores: Logits of all pairs that were scored.
        calibration: From score to probability.
        stages: Result of each stage, in order.
        seconds: Wall time of each step.
    """

    dataset: str
    weights: str
    weights_digest: str
    clock: str
    query: Features
    gallery: Features
    scores: Scores
    calibration: Calibration
    stages: dict[StageName, Stage]
    seconds: dict[str, float]

    @property
    def broken(self) -> tuple[BrokenImage, ...]:
        """Images that could not be read."""
        return self.query.broken + self.gallery.broken

    def summary(self) -> dict[str, Any]:
        """The figures as JSON-ready values; fractions, seconds."""
        ranked = self.stages["plain"].ranking
        return {
            "dataset": self.dataset,
            "weights": self.weights,
            "weights_sha256": self.weights_digest,
            "clock": self.clock,
            "queries": len(self.query.records),
            "queries_counted": ranked.valid_queries,
            "gallery": len(self.gallery.records),
            "results": {name: stage_figures(stage) for name, stage in self.stages.items()},
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "broken": [{"file": str(item.path), "reason": item.reason} for item in self.broken],
        }


def stage_figures(stage: Stage) -> dict[str, float]:
    """Rank-k and mean average precision of a stage, as fractions."""
    ranking = stage.ranking
    return {f"rank{k}": ranking.rank(k) for k in RANKS} | {"mAP": ranking.mean_ap}


def evaluate_reid(
    data: Dataset,
    matcher: Matcher,
    *,
    rerank: bool = False,
    lift: bool = False,
    published: bool = False,
    dtype: torch.dtype = torch.int8,
    progress: ProgressBars | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> ReidEvaluation:
    """Evaluate weights on the query and gallery split of a data set.

    Args:
        data: The data set.
        matcher: Loaded weights.
        rerank: Also re-rank.
        lift: Also lift by time.
        published: Lift with the parameters of the paper instead of those chosen for each stage.
        dtype: Storage dtype of the maps, which chooses how they are scored: int8 is fastest on a
            CPU, float16 on a GPU; float32 gives the layer's own numbers.
        progress: Shows the steps.
        clock: Monotonic seconds.

    Returns:
        Figures, distances and features.

    Raises:
        DatasetError: If no image can be read, no query has a match, or times are missing.
    """
    check_records(data.query, data.gallery, lift=lift)
    bars = progress or NoProgress()
    seconds: dict[str, float] = {}
    begun_s = clock()
    query, gallery = (
        extract(
            records,
            matcher.embed,
            split=split,
            dtype=dtype,
            progress=bars.start(f"{split} features", len(records)),
        )
        for split, records in (("query", data.query), ("gallery", data.gallery))
    )
    seconds["features"] = clock() - begun_s
    begun_scores_s = clock()
    scores = score_pairs(
        query.maps,
        gallery.maps,
        matcher.head,
        rerank=rerank,
        progress=bars.start(
            "scores", pair_count(len(query.maps), len(gallery.maps), rerank=rerank)
        ),
    )
    seconds["scores"] = clock() - begun_scores_s
    stages = evaluate_stages(
        scores,
        query.records,
        gallery.records,
        probability=probability_map(matcher.calibration),
        rerank=rerank,
        lift=lift,
        plain_lift=PUBLISHED_LIFT if published else LIFT_OF_PLAIN_SCORES,
        reranked_lift=PUBLISHED_LIFT if published else LIFT_OF_RERANKED_SCORES,
        clock=clock,
    )
    seconds |= {name: stage.seconds for name, stage in stages.items()}
    seconds["total"] = clock() - begun_s
    return ReidEvaluation(
        dataset=data.name,
        weights=matcher.name,
        weights_digest=matcher.digest,
        clock=data.clock,
        query=query,
        gallery=gallery,
        scores=scores,
        calibration=matcher.calibration,
        stages=stages,
        seconds=seconds,
    )


def probability_map(calibration: Calibration) -> Callable[[Float32Array], Float32Array]:
    """The calibration as a function on numpy arrays."""

    def apply(score: Float32Array) -> Float32Array:
        probability = calibration.probability(torch.from_numpy(score))
        return np.asarray(probability, np.float32)

    return apply
