"""Refits a site's calibration from what is certain: people side by side are different people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamreid.association.constraints import Span, conflicts
from streamreid.engine.coefficients import Coefficients
from streamreid.errors import AssociationError
from streamreid.gallery.scorer import Scorer
from streamreid.types import CropKey, Float64Array

QUANTILE = 0.9
LEAST_PAIRS = 50
_MOST_PAIRS = 2000


@dataclass(frozen=True, slots=True)
class SiteTrack:
    """A track with its crops in the scorer."""

    span: Span
    entries: tuple[CropKey, ...]


def side_by_side(tracks: Sequence[SiteTrack]) -> list[tuple[SiteTrack, SiteTrack]]:
    """Pairs of tracks that one camera saw at the same time, at most a few thousand.

    Args:
        tracks: The tracks of a site.
    """
    ordered = sorted(
        (track for track in tracks if track.entries),
        key=lambda track: (track.span.started_at_s, track.span.track),
    )
    found: list[tuple[SiteTrack, SiteTrack]] = []
    for index, first in enumerate(ordered):
        for second in ordered[index + 1 :]:
            if second.span.started_at_s > first.span.ended_at_s:
                break
            if conflicts(first.span, second.span):
                found.append((first, second))
    step = max(len(found) // _MOST_PAIRS, 1)
    return found[::step]


def strangers_of(
    people: Sequence[tuple[int, SiteTrack]], *, most: int = _MOST_PAIRS
) -> list[tuple[SiteTrack, SiteTrack]]:
    """Pairs of tracks of different people in one camera, whenever they were there.

    Args:
        people: True person and track.
        most: About how many pairs to return, spread evenly.
    """
    found = [
        (first, second)
        for index, (one, first) in enumerate(people)
        for other, second in people[index + 1 :]
        if one != other and first.span.camera_id == second.span.camera_id
    ]
    return found[:: max(len(found) // most, 1)]


def stranger_logits(
    scorer: Scorer, pairs: Sequence[tuple[SiteTrack, SiteTrack]], coefficients: Coefficients
) -> Float64Array:
    """Appearance logits of pairs of different people, shape `(N,)`.

    Args:
        scorer: Holds the crops.
        pairs: The pairs.
        coefficients: Their calibration maps scores to logits.
    """
    scores = [
        float(scorer.score(first.entries, [second.entries]).score[0]) for first, second in pairs
    ]
    logits: Float64Array = (
        coefficients.calibration_slope * np.array(scores) + coefficients.calibration_offset
    )
    return logits[np.isfinite(logits)]


def refit_offset(coefficients: Coefficients, strangers: Float64Array, site: str) -> Coefficients:
    """Shift the calibration so that this site's strangers look as little alike as those of the fit.

    Uniforms, poor light or a low camera make strangers more alike; then the same score must mean
    less. Only the offset moves: nobody labelled how alike one person's tracks are.

    Args:
        coefficients: What was fitted for the weights.
        strangers: Appearance logits of pairs of different people at the site, shape `(N,)`.
        site: Name of the site, for the record.

    Raises:
        AssociationError: If there are too few pairs, or the fit kept no reference.
    """
    if coefficients.stranger_logit is None:
        raise AssociationError(
            f"the coefficients in use ({coefficients.fitted_on}) carry no reference for strangers; "
            "use weights that were fitted with scripts/fit_association.py"
        )
    if len(strangers) < LEAST_PAIRS:
        raise AssociationError(
            f"only {len(strangers)} pairs of people side by side were found, at least "
            f"{LEAST_PAIRS} are needed; let streamreid run longer, with crops kept"
        )
    shift = coefficients.stranger_logit - float(np.quantile(strangers, QUANTILE))
    return replace(
        coefficients,
        calibration_offset=coefficients.calibration_offset + shift,
        fitted_on=f"{coefficients.fitted_on}; offset moved by {shift:+.2f} for {site} from "
        f"{len(strangers)} pairs side by side",
    )
