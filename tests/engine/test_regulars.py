"""People who come by again and again stay one identity each, also when the gallery forgets."""

from collections import Counter

import numpy as np
import pytest

from streamreid.association.ledger import Decision, replay
from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded
from streamreid.engine.inbox import event_time_s
from streamreid.types import CropKey
from tests.engine.planted import Scene, Walk
from tests.engine.test_order import CAMERAS, NEIGHBOURS

PEOPLE, VISITS = 4, 40


def regulars() -> Scene:
    rng = np.random.default_rng(7)
    walks: list[Walk] = []
    for person in range(PEOPLE):
        time_s = float(rng.uniform(0, 30))
        for visit in range(VISITS):
            length_s = float(rng.uniform(3, 6))
            camera = CAMERAS[visit % len(CAMERAS)]
            walks.append(Walk(len(walks) + 1, person, camera, time_s, time_s + length_s, 3))
            time_s += length_s + float(rng.uniform(10, 20))
    return Scene(walks, noise=0.09, seed=7)


@pytest.mark.parametrize("gallery", [None, 60])
def test_somebody_who_comes_forty_times_stays_one_identity(gallery: int | None) -> None:
    scene = regulars()
    scorer = scene.scorer()
    engine = Engine(scorer, settings=NEIGHBOURS)
    events = [event for walk in scene.walks for event in scene.events(walk)]
    events.sort(key=lambda event: (event_time_s(event), event.track))
    rows: list[Decision] = []
    live: list[CropKey] = []
    for event in events:
        if isinstance(event, CropAdded):
            scorer.insert([scene.entries(event)])
            live.append(event.entry_id)
            if gallery is not None and len(live) > gallery:
                scorer.remove([live.pop(0)])
        rows += engine.observe(event, event_time_s(event)).decisions
    rows += engine.close(event_time_s(events[-1])).decisions
    person = {walk.track: walk.person for walk in scene.walks}
    groups: dict[int, Counter[int]] = {}
    for track, held in replay(rows).items():
        groups.setdefault(int(held.identity_id), Counter())[person[int(track)]] += 1
    assert all(len(group) == 1 for group in groups.values())
    largest: Counter[int] = Counter()
    for group in groups.values():
        for who, count in group.items():
            largest[who] = max(largest[who], count)
    assert min(largest.values()) >= 0.9 * VISITS
