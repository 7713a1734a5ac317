"""Offline TLift: lifts scores of candidates that appear when the query's companions did.

Source: Liao and Shao, arXiv 1904.10424, "temporal lifting"; behaviour of ShengcaiLiao/QAConv
(identical in every version), except for the edge cases named in `tlift`. Clock offsets do not
matter: only differences of time within one camera are used.
"""

import numpy as np
import numpy.typing as npt

from streamreid.types import Float64Array, Int64Array

FloatMatrix = npt.NDArray[np.floating]


def tlift(
    score: FloatMatrix,
    *,
    query_camera: npt.ArrayLike,
    query_time_s: npt.ArrayLike,
    gallery_camera: npt.ArrayLike,
    gallery_time_s: npt.ArrayLike,
    tau_s: float = 100.0,
    sigma_s: float = 200.0,
    pivots: int = 10,
    alpha: float = 0.2,
    skip_unknown_cameras: bool = False,
) -> FloatMatrix:
    """Rescore `score[q, g]` to `(weight[q, g] + alpha) * score[q, g]`.

    For every query and gallery camera, the best matches of all queries that its camera saw less
    than `tau_s` away (the pivots) vote, with a Gaussian of width `sigma_s`, for times in the
    gallery camera. A camera without gallery has no candidates, and its queries are treated like any
    other.

    Args:
        score: Similarity in [0, 1] that averages about 0.01-0.1 over random pairs, shape `[Q, G]`;
            a flatter scale drowns in the weights (qaconv_tlift 7.4).
        query_camera: Camera of each query, shape `[Q]`, integers.
        query_time_s: Time of each query in seconds of its camera's clock, shape `[Q]`.
        gallery_camera: Camera of each gallery item, shape `[G]`, integers.
        gallery_time_s: Time of each gallery item, shape `[G]`.
        tau_s: Companions are seen less than this many seconds away (strictly).
        sigma_s: Width of the kernel `exp(-(dt / sigma_s) ** 2)`.
        pivots: Number of best matches that vote (K); ties at the last place all vote.
        alpha: Share of the score that does not depend on time.
        skip_unknown_cameras: Do as the reference code: a query from a camera index above every
            gallery camera gets weight 0.

    Returns:
        Lifted scores, shape `[Q, G]`, dtype of `score`.

    Raises:
        ValueError: If shapes do not fit, a score or time is not finite, or a parameter is out of
            range.
    """
    score = np.asarray(score)
    query_camera, query_time_s = _checked(query_camera, query_time_s, score.shape[0], "query")
    gallery_camera, gallery_time_s = _checked(
        gallery_camera, gallery_time_s, score.shape[1], "gallery"
    )
    if tau_s <= 0 or sigma_s <= 0 or pivots < 1:
        raise ValueError(
            f"tau_s, sigma_s and pivots must be positive, got {tau_s}, {sigma_s}, {pivots}"
        )
    if not np.isfinite(score).all():
        raise ValueError("scores must be finite numbers")
    weight = np.zeros(score.shape)
    for camera in np.unique(query_camera):
        if skip_unknown_cameras and (gallery_camera < camera).all():
            continue
        rows = np.flatnonzero(query_camera == camera)
        companions = _companions(query_time_s[rows], tau_s)
        for other in np.unique(gallery_camera):
            columns = np.flatnonzero(gallery_camera == other)
            weight[np.ix_(rows, columns)] = _camera_pair_weights(
                score[np.ix_(rows, columns)], gallery_time_s[columns], companions, pivots, sigma_s
            )
    return ((weight + alpha) * score).astype(score.dtype, copy=False)


def best_matches(
    score: npt.NDArray[np.floating], time_s: Float64Array, pivots: int
) -> tuple[Float64Array, Float64Array]:
    """The `pivots` best scores with their times; ties at the last place are all kept.

    Lists of parts lose nothing: the best matches of a union are the best matches of the lists of
    its parts (qaconv_tlift 11.2), which is how the live state keeps them.

    Args:
        score: Scores, shape `(M,)`.
        time_s: Time of each scored gallery item, shape `(M,)`.
        pivots: Number to keep (K), at least 1.

    Returns:
        The kept scores and their times, in the order given.
    """
    values = np.asarray(score, np.float64)
    if len(values) <= pivots:
        return values, time_s
    kept = values >= np.partition(values, len(values) - pivots)[len(values) - pivots]
    return values[kept], time_s[kept]


def pivot_weight(
    candidate_time_s: Float64Array, pivot_time_s: Float64Array, sigma_s: float
) -> Float64Array:
    """Mean kernel of the pivots at the time of each candidate.

    Args:
        candidate_time_s: Times of the candidates, shape `(N,)`.
        pivot_time_s: Times of the pivots with multiplicity, shape `(M,)`, at least one.
        sigma_s: Width of the kernel, seconds.

    Returns:
        Weights in [0, 1], shape `(N,)`.
    """
    times, counts = np.unique(pivot_time_s, return_counts=True)
    kernel = np.exp(-(((candidate_time_s[:, None] - times) / sigma_s) ** 2))
    weight: Float64Array = kernel @ counts / len(pivot_time_s)
    return weight


def _camera_pair_weights(
    score: FloatMatrix,
    time_s: Float64Array,
    companions: list[Int64Array],
    pivots: int,
    sigma_s: float,
) -> Float64Array:
    """Weights of all queries of one camera for all candidates of another, `[queries, items]`."""
    lists = [best_matches(row, time_s, pivots) for row in score]
    weight = np.empty(score.shape)
    for query, rows in enumerate(companions):
        values = np.concatenate([lists[row][0] for row in rows])
        times = np.concatenate([lists[row][1] for row in rows])
        weight[query] = pivot_weight(time_s, best_matches(values, times, pivots)[1], sigma_s)
    return weight


def _companions(time_s: Float64Array, tau_s: float) -> list[Int64Array]:
    """For each query of one camera the rows seen less than `tau_s` away, itself included."""
    return [np.flatnonzero(np.abs(time_s - own_s) < tau_s) for own_s in time_s]


def _checked(
    camera: npt.ArrayLike, time_s: npt.ArrayLike, count: int, role: str
) -> tuple[Int64Array, Float64Array]:
    cameras, times_s = np.asarray(camera), np.asarray(time_s, np.float64)
    if cameras.shape != (count,) or times_s.shape != (count,):
        raise ValueError(
            f"{role} needs {count} cameras and times, got {cameras.shape} and {times_s.shape}"
        )
    if not np.isfinite(times_s).all():
        missing = int((~np.isfinite(times_s)).sum())
        raise ValueError(
            f"{missing} of {count} {role} times are missing; TLift needs a time for every image"
        )
    return cameras.astype(np.int64), times_s
