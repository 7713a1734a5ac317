"""The replay order depends on the messages alone, never on the order of arrival."""

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamreid.messages import TrackMessage
from streamreid.runtime.merge import ArrivalOrder, Merger, ReplayOrder, Sequenced
from streamreid.types import CameraId, TrackId, TrackSummary

CAMERAS = [CameraId("a"), CameraId("b"), CameraId("c")]


def _message(camera_id: CameraId, seq: int, at_s: float) -> TrackMessage:
    summary = TrackSummary(camera_id, TrackId(seq), at_s - 1.0, at_s, 3, "left")
    return TrackMessage(seq, summary)


def _feed(
    merger: Merger, lanes: dict[CameraId, list[float]], turns: list[int]
) -> Iterator[Sequenced]:
    """Send every camera's times in an interleaving given by `turns`, then end all cameras."""
    queues = {
        camera: [_message(camera, k, t) for k, t in enumerate(times)]
        for camera, times in lanes.items()
    }
    for turn in turns:
        camera = CAMERAS[turn]
        if queues[camera]:
            merger.add(camera, 1, queues[camera].pop(0))
            yield from merger.ready()
    for camera in CAMERAS:
        for message in queues[camera]:
            merger.add(camera, 1, message)
        merger.end(camera)
        yield from merger.ready()


def _keys(items: Iterator[Sequenced]) -> list[tuple[float, str, int]]:
    return [(item.at_s, item.camera_id, item.message.seq) for item in items]


times = st.lists(st.sampled_from([float(t) for t in np.arange(0, 8, 0.5)]), max_size=8)
turns = st.lists(st.integers(0, 2), max_size=30)


@given(a=times, b=times, c=times, first=turns, second=turns)
def test_order_is_the_same_for_every_interleaving(
    a: list[float], b: list[float], c: list[float], first: list[int], second: list[int]
) -> None:
    lanes = dict(zip(CAMERAS, (a, b, c), strict=True))
    one = _keys(_feed(ReplayOrder(CAMERAS), lanes, first))
    two = _keys(_feed(ReplayOrder(CAMERAS), lanes, second))
    assert one == two
    assert [at_s for at_s, _, _ in one] == sorted(at_s for at_s, _, _ in one)
    assert len(one) == len(a) + len(b) + len(c)


@given(a=times, turn=turns)
def test_each_camera_keeps_its_own_order(a: list[float], turn: list[int]) -> None:
    lanes = {CAMERAS[0]: a, CAMERAS[1]: a, CAMERAS[2]: []}
    items = _keys(_feed(ReplayOrder(CAMERAS), lanes, turn))
    for camera in CAMERAS[:2]:
        assert [seq for _, name, seq in items if name == camera] == list(range(len(a)))


def test_nothing_is_released_before_every_camera_spoke() -> None:
    merger = ReplayOrder(CAMERAS)
    merger.add(CAMERAS[0], 1, _message(CAMERAS[0], 0, 5.0))
    merger.progress(CAMERAS[1], 9.0)
    assert list(merger.ready()) == []
    merger.progress(CAMERAS[2], 4.0)
    assert list(merger.ready()) == []
    merger.progress(CAMERAS[2], 6.0)
    assert len(list(merger.ready())) == 1
    assert len(merger) == 0


def test_live_order_is_arrival() -> None:
    merger = ArrivalOrder()
    merger.add(CAMERAS[1], 1, _message(CAMERAS[1], 0, 9.0))
    merger.add(CAMERAS[0], 1, _message(CAMERAS[0], 0, 2.0))
    assert [item.camera_id for item in merger.ready()] == [CAMERAS[1], CAMERAS[0]]
