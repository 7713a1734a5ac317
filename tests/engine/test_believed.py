"""Who teaches the time terms: pairs that choose each other, among all or in their two cameras."""

import pytest

from streamreid.engine.believed import believed_matches
from streamreid.engine.settings import TimeSettings
from streamreid.engine.tracks import Likeness, Track
from streamreid.types import CameraId, TrackKey

A, B, C = CameraId("a"), CameraId("b"), CameraId("c")
SETTINGS = TimeSettings(pseudo_match=0.3, pair_match=0.6, pair_margin=0.5)


def scene(pairs: dict[tuple[int, int], float]) -> dict[TrackKey, Track]:
    """Tracks 10 to 19 are in camera a, 20 to 29 in b, 30 to 39 in c; logits of some pairs."""
    tracks: dict[TrackKey, Track] = {}
    for pair in pairs:
        for number in pair:
            camera = (A, B, C)[number // 10 - 1]
            tracks[TrackKey(number)] = Track(TrackKey(number), camera, 0.0, 1.0, ended=True)
    for (one, other), logit in pairs.items():
        first, second = tracks[TrackKey(one)], tracks[TrackKey(other)]
        first.compared(second.key, second.camera_id, logit)
        second.compared(first.key, first.camera_id, logit)
    return tracks


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param({(10, 20): -0.5}, [20], id="best among all, from the lower bound on"),
        pytest.param({(10, 20): -1.5}, [], id="too unlikely"),
        pytest.param({(10, 20): 3.0, (10, 30): 2.0}, [20, 30], id="one in each camera"),
        pytest.param({(10, 20): 3.0, (10, 30): 0.2}, [20], id="second camera too unlikely"),
        pytest.param({(10, 20): 3.0, (10, 30): 2.0, (11, 30): 1.8}, [20], id="runner-up too close"),
        pytest.param({(10, 20): 2.0, (11, 20): 3.0}, [], id="not mutual"),
    ],
)
def test_who_is_believed(pairs: dict[tuple[int, int], float], expected: list[int]) -> None:
    tracks = scene(pairs)
    found = believed_matches(tracks[TrackKey(10)], tracks, SETTINGS)
    assert [int(one.match.key) for one in found] == expected


def test_open_and_forgotten_tracks_are_left_out() -> None:
    tracks = scene({(10, 20): 3.0, (10, 30): 3.5})
    tracks[TrackKey(20)].ended = False
    del tracks[TrackKey(30)]
    assert believed_matches(tracks[TrackKey(10)], tracks, SETTINGS) == []


def test_a_new_score_of_a_known_pair_replaces_the_old_one() -> None:
    one = Likeness(TrackKey(1), 2.0).with_score(TrackKey(2), 1.0)
    assert (one.track, one.margin) == (1, 1.0)
    swapped = one.with_score(TrackKey(1), 0.0)
    assert (swapped.track, swapped.second, swapped.margin) == (2, 1, 1.0)
