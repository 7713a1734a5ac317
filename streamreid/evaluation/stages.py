"""The offline test: plain ranking, re-ranking, TLift, and TLift after re-ranking."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.evaluation.features import Progress
from streamreid.evaluation.ranking import JUNK_IDENTITY, RankingResult, evaluate_ranking
from streamreid.evaluation.reranking import k_reciprocal_rerank
from streamreid.reid.matching import FeatureMaps, match_scores
from streamreid.reid.qaconv import FoldedHead
from streamreid.tlift.rescore import tlift
from streamreid.types import Float32Array, Float64Array

StageName = Literal["plain", "tlift", "rerank", "rerank_tlift"]

# Queries scored between two reports of progress.
_BLOCK = 64
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LiftSettings:
    """Parameters of TLift; these defaults are the published ones.

    Attributes:
        tau_s: Companions are seen less than this many seconds away.
        sigma_s: Width of the kernel, seconds.
        pivots: Number of best matches that vote.
        alpha: Share of the score that does not depend on time.
    """

    tau_s: float = 100.0
    sigma_s: float = 200.0
    pivots: int = 10
    alpha: float = 0.2


PUBLISHED_LIFT = LiftSettings()
"""Parameters of the paper, meant for re-ranked scores of Market-1501 and DukeMTMC."""

# Chosen by scripts/tune_tlift.py on training identities only; see docs/results/reid.md.
LIFT_OF_PLAIN_SCORES = LiftSettings(tau_s=300.0, sigma_s=400.0, pivots=5, alpha=0.1)
LIFT_OF_RERANKED_SCORES = LiftSettings(tau_s=300.0, sigma_s=400.0, pivots=5, alpha=0.4)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of pairs, larger is more similar: logits of a matching layer, or cosines.

    Attributes:
        across: Queries against gallery, shape `[Q, G]`, float32.
        own: Queries against queries, shape `[Q, Q]`; None where no re-ranking is wanted.
        others: Gallery against gallery, shape `[G, G]`; None where no re-ranking is wanted.
        highest: No pair scores higher; distances for re-ranking are measured from it.
    """

    across: Float32Array
    own: Float32Array | None = None
    others: Float32Array | None = None
    highest: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Result of one stage.

    Attributes:
        ranking: CMC and mean average precision.
        distance: The distances that were ranked, shape `[Q, G]`.
        seconds: Time that this stage took, the scores not included.
    """

    ranking: RankingResult
    distance: Float32Array
    seconds: float


def pair_count(queries: int, items: int, *, rerank: bool) -> int:
    """Number of pairs that `score_pairs` reports as progress."""
    own = queries * (queries + 1) // 2 + items * (items + 1) // 2
    return queries * items + (own if rerank else 0)


def score_pairs(
    query: FeatureMaps,
    gallery: FeatureMaps,
    head: FoldedHead,
    *,
    rerank: bool,
    backend: str = "auto",
    progress: Progress = lambda _: None,
) -> Scores:
    """Score all pairs that the stages need; the result holds logits.

    Args:
        query: Packed maps of the queries.
        gallery: Packed maps of the gallery.
        head: The folded head.
        rerank: Also score the pairs inside each side.
        backend: As for `match_scores`.
        progress: Told how many more pairs are done.
    """
    across = np.empty((len(query), len(gallery)), np.float32)
    for start in range(0, len(query), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(query)))
        across[rows] = match_scores(query.select(rows), gallery, head, backend=backend).cpu()
        progress(across[rows].size)
    if not rerank:
        return Scores(across, highest=head.highest_score)
    own, others = (_score_inside(side, head, backend, progress) for side in (query, gallery))
    return Scores(across, own, others, highest=head.highest_score)


def _score_inside(
    maps: FeatureMaps, head: FoldedHead, backend: str, progress: Progress
) -> Float32Array:
    """All pairs of one side; a symmetric head scores each unordered pair once."""
    scores = np.empty((len(maps), len(maps)), np.float32)
    for start in range(0, len(maps), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(maps)))
        first = start if head.symmetric else 0
        block = match_scores(
            maps.select(rows), maps.select(slice(first, None)), head, backend=backend
        )
        scores[rows, first:] = block.cpu()
        if head.symmetric:
            scores[first:, rows] = scores[rows, first:].T
        done = rows.stop - rows.start
        progress(done * (len(maps) - rows.stop) + done * (done + 1) // 2)
    return scores


def evaluate_stages(
    scores: Scores,
    queries: Sequence[ImageRecord],
    gallery: Sequence[ImageRecord],
    *,
    probability: Callable[[Float32Array], Float32Array],
    rerank: bool = False,
    lift: bool = False,
    plain_lift: LiftSettings = LIFT_OF_PLAIN_SCORES,
    reranked_lift: LiftSettings = LIFT_OF_RERANKED_SCORES,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[StageName, Stage]:
    """Evaluate the plain ranking and the stages asked for.

    Args:
        scores: Scores of the pairs; with `own` and `others` for re-ranking.
        queries: Records of the queries.
        gallery: Records of the gallery.
        probability: Calibration from score to probability, on which TLift works alone.
        rerank: Also re-rank (k1 20, k2 6, lambda 0.3) by `highest - score`, which spreads better
            than a probability.
        lift: Also lift by time, alone and after re-ranking if that is done.
        plain_lift: Parameters of TLift on the similarities themselves.
        reranked_lift: Parameters of TLift after re-ranking.
        clock: Monotonic seconds, for the time that each stage takes.

    Returns:
        The stages in order: plain, tlift, rerank, rerank_tlift.

    Raises:
        DatasetError: If no query has a match in another camera, or a time is missing for `lift`.
    """
    check_records(queries, gallery, lift=lift)
    stages: dict[StageName, Stage] = {}

    def add(name: StageName, make: Callable[[], Float32Array]) -> None:
        start_s = clock()
        distance = make()
        ranking = _rank(distance, queries, gallery)
        stages[name] = Stage(ranking, distance, clock() - start_s)

    add("plain", lambda: scores.highest - scores.across)
    if lift:
        add("tlift", lambda: 1.0 - _lift(probability(scores.across), queries, gallery, plain_lift))
    if rerank:
        add("rerank", lambda: _rerank(scores))
    if rerank and lift:
        closeness = 1.0 - stages["rerank"].distance
        add("rerank_tlift", lambda: 1.0 - _lift(closeness, queries, gallery, reranked_lift))
    return stages


def _rank(
    distance: Float32Array, queries: Sequence[ImageRecord], gallery: Sequence[ImageRecord]
) -> RankingResult:
    return evaluate_ranking(
        distance,
        [record.identity for record in queries],
        [record.identity for record in gallery],
        [record.camera for record in queries],
        [record.camera for record in gallery],
    )


def _rerank(scores: Scores) -> Float32Array:
    across, own, others = scores.across, scores.own, scores.others
    if own is None or others is None:
        raise ValueError("re-ranking needs the scores inside both sides too")
    whole = np.block([[own, across], [across.T, others]])
    np.subtract(scores.highest, whole, out=whole)
    return k_reciprocal_rerank(whole, len(own))


def _lift(
    score: Float32Array,
    queries: Sequence[ImageRecord],
    gallery: Sequence[ImageRecord],
    settings: LiftSettings,
) -> Float32Array:
    lifted = tlift(
        score,
        query_camera=[record.camera for record in queries],
        query_time_s=_times(queries),
        gallery_camera=[record.camera for record in gallery],
        gallery_time_s=_times(gallery),
        tau_s=settings.tau_s,
        sigma_s=settings.sigma_s,
        pivots=settings.pivots,
        alpha=settings.alpha,
    )
    return np.asarray(lifted, np.float32)


def _times(records: Sequence[ImageRecord]) -> Float64Array:
    return np.array([np.nan if r.time_s is None else r.time_s for r in records], np.float64)


def check_records(
    queries: Sequence[ImageRecord], gallery: Sequence[ImageRecord], *, lift: bool
) -> None:
    """Refuse what cannot be evaluated, before any image is opened.

    Args:
        queries: Records of the queries.
        gallery: Records of the gallery.
        lift: Whether times are needed.

    Raises:
        DatasetError: If no query has a match in another camera, or a time is missing for `lift`.
    """
    seen = {(item.identity, item.camera) for item in gallery if item.identity != JUNK_IDENTITY}
    cameras = {camera for _, camera in seen}
    if not any(
        (item.identity, camera) in seen
        for item in queries
        for camera in cameras
        if camera != item.camera
    ):
        raise DatasetError(
            f"none of {len(queries)} queries has its identity in another camera of the gallery "
            f"({len(gallery)} images), so nothing can be ranked; check identities and cameras in "
            "the file names"
        )
    records = [*queries, *gallery]
    missing = [record.path.name for record in records if record.time_s is None]
    if lift and missing:
        raise DatasetError(
            f"TLift needs a time for every image, but {len(missing)} of {len(records)} have none, "
            f"such as {missing[:_SHOWN]}; use names with sequence and frame (_c1s1_000451_) or "
            "leave --tlift out"
        )
