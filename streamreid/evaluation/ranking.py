"""Rank-k (CMC) and mean average precision of a distance matrix, by the Market-1501 rule."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamreid.types import Float64Array, Int64Array

JUNK_IDENTITY = -1
"""Gallery images with this identity are removed; identity 0 is a distractor and stays."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RankingResult:
    """How well a gallery was ranked.

    Attributes:
        cmc: `cmc[k - 1]` is the fraction of counted queries with a correct item among the first k,
            shape `(ranks,)`.
        mean_ap: Mean average precision over the counted queries, a fraction; NaN without any.
        valid_queries: Number of queries that have a correct item left; only they are counted.
        average_precision: Average precision of each query, NaN where it is not counted, `(Q,)`.
        first_match: Rank (from 1) of the first correct item of each query, 0 where not counted.
    """

    cmc: Float64Array
    mean_ap: float
    valid_queries: int
    average_precision: Float64Array
    first_match: Int64Array

    def rank(self, k: int) -> float:
        """Fraction of counted queries with a correct item among the first `k`, `k >= 1`."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])


def evaluate_ranking(
    distance: npt.ArrayLike,
    query_id: npt.ArrayLike,
    gallery_id: npt.ArrayLike,
    query_camera: npt.ArrayLike,
    gallery_camera: npt.ArrayLike,
    *,
    ranks: int = 100,
    same_camera: Literal["same identity", "all"] = "same identity",
    counted: Literal["first match", "every match"] = "first match",
    area: Literal["step", "trapezoid"] = "step",
) -> RankingResult:
    """Rank the gallery for every query.

    Gallery items of the query's identity in the query's camera, and junk (identity -1), are
    removed. Queries without a correct item left are skipped. Equal distances keep gallery order for
    CMC and enter together for average precision.

    Args:
        distance: Smaller is more similar, shape `[Q, G]`, finite.
        query_id: Identity of each query, shape `[Q]`.
        gallery_id: Identity of each gallery item, shape `[G]`; -1 is junk, 0 a distractor.
        query_camera: Camera of each query, shape `[Q]`.
        gallery_camera: Camera of each gallery item, shape `[G]`.
        ranks: Length of the CMC curve.
        same_camera: Remove from the query's own camera its identity (the rule), or everything.
        counted: CMC counts the first correct item of a query (the rule), or the mean over all of
            them, each ranked as if the other correct items were not there.
        area: "step" is the usual average precision (QAConv 1.2 and later); "trapezoid" that of
            QAConv 1.0 and 1.1, which is lower and not comparable.

    Returns:
        CMC, mean average precision and the figures of each query.

    Raises:
        ValueError: If shapes do not fit or a distance is not finite.
    """
    matrix = np.asarray(distance)
    ids, cameras = np.asarray(gallery_id), np.asarray(gallery_camera)
    query_ids, query_cameras = np.asarray(query_id), np.asarray(query_camera)
    shape = (len(query_ids), len(ids))
    if matrix.shape != shape or len(query_cameras) != shape[0] or len(cameras) != shape[1]:
        raise ValueError(
            f"distance is {matrix.shape} for {shape[0]} query ids, {len(query_cameras)} query "
            f"cameras, {shape[1]} gallery ids and {len(cameras)} gallery cameras"
        )
    if not np.isfinite(matrix).all():
        raise ValueError("distances must be finite numbers")
    average_precision = np.full(shape[0], np.nan)
    first_match = np.zeros(shape[0], np.int64)
    hits = np.zeros(ranks)
    for row, (identity, camera) in enumerate(zip(query_ids, query_cameras, strict=True)):
        here = cameras == camera
        removed = here if same_camera == "all" else here & (ids == identity)
        kept = ~removed & (ids != JUNK_IDENTITY)
        correct = ids[kept] == identity
        if not correct.any():
            continue
        values = matrix[row, kept]
        order = np.argsort(values, kind="stable")
        places = np.flatnonzero(correct[order])
        first_match[row] = 1 + int(places[0])
        hits += _hits(places[:1] if counted == "first match" else places, ranks)
        average_precision[row] = _average_precision(values[order], correct[order], area)
    valid = int((first_match > 0).sum())
    return RankingResult(
        cmc=hits.cumsum() / max(valid, 1),
        mean_ap=float(np.nanmean(average_precision)) if valid else float("nan"),
        valid_queries=valid,
        average_precision=average_precision,
        first_match=first_match,
    )


def _hits(places: Int64Array, ranks: int) -> Float64Array:
    """Share of one query that is found at each rank; `places` count from 0 and ascend."""
    without_others = places - np.arange(len(places))
    found = np.bincount(without_others[without_others < ranks], minlength=ranks)
    return found / len(places)


def _average_precision(values: Float64Array, correct: BoolArray, area: str) -> float:
    """Area under the precision-recall curve; `values` ascend, `correct` marks the right items."""
    last_of_tie = np.append(values[1:] != values[:-1], True)
    found = correct.cumsum()[last_of_tie]
    precision = found / (np.flatnonzero(last_of_tie) + 1)
    recall = found / found[-1]
    gain = np.diff(recall, prepend=0.0)
    if area == "step":
        return float(gain @ precision)
    return float(gain @ (precision + np.concatenate(([1.0], precision[:-1])))) / 2.0
