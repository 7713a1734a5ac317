"""What the engine is told about a message does not depend on how its camera fills messages."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamreid.engine.events import TrackSeen
from streamreid.runtime.intake import Intake
from streamreid.runtime.merge import Sequenced
from tests.builders import make_detections
from tests.store.builders import DOOR, INCARNATION, open_writer

TIMES_S = np.array([10.0, 10.4, 10.8, 11.2, 11.6, 12.0])


@pytest.mark.parametrize("cuts", [[], [1], [2], [3], [1, 2, 3, 4, 5]])
def test_at_every_full_second_it_is_known_when_a_track_was_seen(
    tmp_path: Path, cuts: list[int]
) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        intake = Intake(store, urls={DOOR: "x"}, weights_digest="w", keep_crops=False)
        told: list[float] = []
        for number, times in enumerate(np.split(TIMES_S, cuts)):
            # in any order, as a hostile camera may send them
            message = make_detections(seq=number, count=len(times))
            message = replace(message, captured_at_s=times[::-1].copy())
            item = intake.item(Sequenced(DOOR, INCARNATION, message, float(times.max())))
            assert all(isinstance(event, TrackSeen) for event in item.events)
            told += [event.seen_at_s for event in item.events if isinstance(event, TrackSeen)]
    for second in (11.0, 12.0, 13.0):
        known = max(at_s for at_s in told if at_s < second)
        assert known == TIMES_S[second > TIMES_S].max()
