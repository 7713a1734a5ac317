"""Capture times: what every kind of broken stream time becomes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.video.capture_time import FileTimeline, LiveTimeline, Stamp

SIZE = (640, 360)


def _file_stamps(
    positions: list[float | None], *, period_s: float = 0.1, start_time_s: float = 1000.0
) -> list[Stamp]:
    timeline = FileTimeline(start_time_s=start_time_s, period_s=period_s)
    return [timeline.stamp(position, SIZE) for position in positions]


@pytest.mark.parametrize(
    ("positions", "times", "segments"),
    [
        pytest.param([0.0, 0.1, 0.2], [1000.0, 1000.1, 1000.2], [0, 0, 0], id="plain"),
        pytest.param([1.4, 1.5], [1000.0, 1000.1], [0, 0], id="ts-starts-late"),
        pytest.param([0.0, 3600.0, 3600.1], [1000.0, 1000.1, 1000.2], [0, 1, 1], id="hour-ahead"),
        pytest.param([3600.0, 0.0, 0.1], [1000.0, 1000.1, 1000.2], [0, 1, 1], id="hour-back"),
        pytest.param([None, None], [1000.0, 1000.1], [0, 0], id="no-pts"),
        pytest.param([None, 5.0, 5.1], [1000.0, 1000.1, 1000.2], [0, 0, 0], id="pts-from-second"),
        pytest.param([0.0, 0.0], [1000.0, 1000.1], [0, 0], id="same-pts-twice"),
        pytest.param([0.0, 0.5, 0.1], [1000.0, 1000.5, 1000.501], [0, 0, 0], id="small-step-back"),
    ],
)
def test_file_times(positions: list[float | None], times: list[float], segments: list[int]) -> None:
    stamps = _file_stamps(positions)
    assert [stamp.captured_at_s for stamp in stamps] == pytest.approx(times, abs=1e-6)
    assert [stamp.segment for stamp in stamps] == segments
    assert {stamp.time_source for stamp in stamps} == {"file"}


def test_slow_recordings_are_no_jumps() -> None:
    stamps = _file_stamps([0.0, 60.0, 120.0], period_s=60.0)
    assert [stamp.segment for stamp in stamps] == [0, 0, 0]


def test_a_new_size_is_a_new_segment() -> None:
    timeline = FileTimeline(start_time_s=0.0, period_s=0.1)
    sizes = [(640, 360), (640, 360), (320, 180)]
    assert [timeline.stamp(i / 10, size).segment for i, size in enumerate(sizes)] == [0, 0, 1]


_positions = st.lists(st.none() | st.floats(-1e5, 1e5, allow_nan=False), min_size=1, max_size=40)


@given(_positions)
def test_file_times_always_grow_and_never_by_more_than_a_jump(
    positions: list[float | None],
) -> None:
    stamps = _file_stamps(positions)
    for before, after in pairwise(stamps):
        step_s = after.captured_at_s - before.captured_at_s
        assert 0.0 < step_s <= 1.0 + 1e-6
        assert after.segment in (before.segment, before.segment + 1)


def _live(timeline: LiveTimeline, pts_s: float | None, at_s: float, **changed: float) -> Stamp:
    return timeline.stamp(
        pts_s,
        realtime_s=changed.get("realtime_s"),
        now_s=1000.0 + at_s + changed.get("clock_step_s", 0.0),
        monotonic_s=at_s,
        size=SIZE,
    )


def test_sender_reports_are_used_where_they_are_sane() -> None:
    timeline = LiveTimeline()
    assert _live(timeline, None, 0.0).time_source == "arrival"
    stamp = _live(timeline, 0.04, 0.04, realtime_s=995.0)
    assert (stamp.time_source, stamp.captured_at_s) == ("arrival", 1000.04) or (
        stamp.time_source == "rtcp"
    )
    absurd = _live(timeline, 0.08, 0.08, realtime_s=10.0)
    assert absurd.time_source == "arrival"


@pytest.mark.parametrize("offset_s", [-5.0, 5.0])
def test_camera_clock_offsets_are_kept(offset_s: float) -> None:
    timeline = LiveTimeline()
    for index in range(20):
        at_s = index / 10
        late_s = 0.03 * (index % 3)  # the network delays arrival, not capture
        stamp = _live(timeline, at_s, at_s + late_s, realtime_s=1000.0 + offset_s)
        assert stamp.captured_at_s == pytest.approx(1000.0 + offset_s + at_s, abs=0.05)
        assert stamp.time_source == "rtcp"
        assert stamp.segment == 0


def test_frames_squeezed_in_after_the_first_report_are_not_the_cameras_time() -> None:
    timeline = LiveTimeline()
    stamps = [_live(timeline, i / 10, i / 10 + 0.25) for i in range(5)]
    stamps += [_live(timeline, i / 10, i / 10 + 0.25, realtime_s=1000.0) for i in range(5, 15)]
    for index, stamp in enumerate(stamps):
        if stamp.time_source == "rtcp":
            assert stamp.captured_at_s == pytest.approx(1000.0 + index / 10, abs=0.05)
    assert [stamp.time_source for stamp in stamps] == ["arrival"] * 7 + ["rtcp"] * 8
    assert {stamp.segment for stamp in stamps} == {0}


@pytest.mark.parametrize("offset_s", [-5.0, 5.0])
def test_the_first_report_of_a_wrong_clock_splits(offset_s: float) -> None:
    """Most cameras report first after seconds; the change of clock is no time that passed."""
    timeline = LiveTimeline()
    stamps = [_live(timeline, i / 10, i / 10) for i in range(5)]
    stamps += [_live(timeline, i / 10, i / 10, realtime_s=1000.0 + offset_s) for i in range(5, 10)]
    assert [stamp.segment for stamp in stamps] == [0] * 5 + [1] * 5
    assert [stamp.time_source for stamp in stamps] == ["arrival"] * 5 + ["rtcp"] * 5


@pytest.mark.parametrize("jump_s", [-3600.0, -20.0, 20.0, 3600.0])
@pytest.mark.parametrize("with_reports", [False, True])
def test_a_jump_of_stream_time_splits_and_rebases(jump_s: float, with_reports: bool) -> None:
    timeline = LiveTimeline()
    changed = {"realtime_s": 1000.0 - 5000.0} if with_reports else {}
    first = _live(timeline, 5000.0, 0.0, **changed)
    second = _live(timeline, 5000.1 + jump_s, 0.1, **changed)
    third = _live(timeline, 5000.2 + jump_s, 0.2, **changed)
    assert [s.segment for s in (first, second, third)] == [0, 1, 1]
    expected = [1000.0, 1000.1, 1000.2]
    assert [s.captured_at_s for s in (first, second, third)] == pytest.approx(expected, abs=0.01)
    assert second.time_source == ("rtcp" if with_reports else "arrival")


@pytest.mark.parametrize("clock_step_s", [-60.0, 60.0])
def test_a_step_of_this_machines_clock_splits(clock_step_s: float) -> None:
    timeline = LiveTimeline()
    _live(timeline, 0.0, 0.0)
    stamp = _live(timeline, 0.1, 0.1, clock_step_s=clock_step_s)
    assert stamp.segment == 1
    assert stamp.captured_at_s == pytest.approx(1000.1 + clock_step_s)


def test_a_pause_of_the_network_is_no_jump() -> None:
    timeline = LiveTimeline()
    stamps = [_live(timeline, 0.0, 0.0)]
    # Three seconds of silence, then everything that was held back at once.
    stamps += [_live(timeline, 0.1 * i, 3.0) for i in range(1, 5)]
    assert {stamp.segment for stamp in stamps} == {0}
    times = [stamp.captured_at_s for stamp in stamps]
    assert times == sorted(set(times))


def test_reconnecting_begins_one_segment() -> None:
    timeline = LiveTimeline()
    timeline.reconnected()
    assert _live(timeline, 0.0, 0.0).segment == 0
    timeline.reconnected()
    timeline.reconnected()
    stamp = timeline.stamp(99.0, realtime_s=None, now_s=1001.0, monotonic_s=1.0, size=(320, 180))
    assert stamp.segment == 1


_arrivals = st.lists(
    st.tuples(
        st.none() | st.floats(-1e4, 1e4),
        st.none() | st.floats(0, 2000),
        st.floats(0.0, 2.0),
        st.sampled_from([0.0, 0.0, 0.0, -3600.0, 3600.0]),
    ),
    min_size=1,
    max_size=30,
)


@given(_arrivals)
def test_live_times_grow_inside_a_segment_and_stay_near_arrival(
    arrivals: list[tuple[float | None, float | None, float, float]],
) -> None:
    timeline = LiveTimeline()
    at_s, step_s = 0.0, 0.0
    before: Stamp | None = None
    for pts_s, realtime_s, wait_s, clock_step_s in arrivals:
        at_s += wait_s
        step_s += clock_step_s
        now_s = 1e6 + at_s + step_s
        stamp = timeline.stamp(
            pts_s, realtime_s=realtime_s, now_s=now_s, monotonic_s=at_s, size=SIZE
        )
        assert abs(stamp.captured_at_s - now_s) < 32.0
        if before is not None:
            assert stamp.segment in (before.segment, before.segment + 1)
            if stamp.segment == before.segment:
                assert stamp.captured_at_s > before.captured_at_s
        before = stamp
