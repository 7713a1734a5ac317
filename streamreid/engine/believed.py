"""Pairs of tracks believed to be one person by appearance alone; the time terms learn from them."""

from collections.abc import Mapping
from dataclasses import dataclass

from streamreid.association.calibration import sigmoid
from streamreid.engine.settings import TimeSettings
from streamreid.engine.tracks import Track
from streamreid.types import TrackKey


@dataclass(frozen=True, slots=True)
class Believed:
    """A track's match, and the appearance probability of the pair."""

    match: Track
    belief: float


def believed_matches(
    track: Track, tracks: Mapping[TrackKey, Track], settings: TimeSettings
) -> list[Believed]:
    """Tracks that look most like this one, and to which this one looks most like.

    Two tracks that choose each other among everybody count from `pseudo_match` on. Two that choose
    each other among the tracks of their two cameras (the person may look still more like herself in
    a third) count when they are likelier one person than not, and clearly ahead of whoever comes
    second: the more cameras, the more often strangers choose each other.

    Args:
        track: The track.
        tracks: All tracks in memory; matches that are not there are left out.
        settings: From which probability and margin on a pair counts.
    """
    found = []
    for camera in sorted(track.alike):
        mine = track.alike[camera]
        match = tracks.get(mine.track)
        theirs = match.alike.get(track.camera_id) if match is not None else None
        if match is None or theirs is None or theirs.track != track.key or not match.ended:
            continue
        belief = sigmoid(mine.logit)
        among_all = track.chooses(match.key) and match.chooses(track.key)
        in_pair = belief >= settings.pair_match and min(mine.margin, theirs.margin) >= (
            settings.pair_margin
        )
        if (among_all and belief >= settings.pseudo_match) or in_pair:
            found.append(Believed(match, belief))
    return found
