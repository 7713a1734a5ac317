"""Durations, sizes, polygons and times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.config.values import (
    format_duration,
    format_size,
    parse_duration,
    parse_polygons,
    parse_size,
    parse_time,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2h", 7200),
        ("1h30m", 5400),
        ("20ms", 0.02),
        ("1.5min", 90),
        ("0s", 0),
        ("3d", 259200),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    "value",
    ["", "5", 5, 5.0, None, True, "-5s", "5 s", "s", "5x", "1e3s", "5s!", "3661d", [], "\uff19s"],
)
def test_durations_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"unit|ten years"):
        parse_duration(value)


@given(st.integers(0, 10**9))
def test_a_duration_written_is_the_duration_read(milliseconds: int) -> None:
    duration_s = milliseconds / 1000
    if duration_s <= 3660 * 86400:
        assert parse_duration(format_duration(duration_s)) == pytest.approx(duration_s, abs=1e-6)


@given(st.integers(0, 10**11))
def test_a_size_written_is_the_size_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("value", ["", "5", 5, "5 XB", "-1MB", "MB", None, "1e9B"])
def test_sizes_refused(value: object) -> None:
    with pytest.raises(ValueError, match="unit"):
        parse_size(value)


def test_one_polygon_or_several() -> None:
    triangle = [[0, 0], [1, 0], [1, 1.5]]
    assert parse_polygons(triangle) == (((0.0, 0.0), (1.0, 0.0), (1.0, 1.5)),)
    assert len(parse_polygons([triangle, triangle])) == 2


@pytest.mark.parametrize(
    "value",
    [
        *(None, [], [1, 2, 3], [[0, 0], [1, 1]], [[0, 0], [1, 1], [2]], "[[0,0]]", [[]], [[[]]]),
        *([[0, 0], [1, 1], [2, "3"]], [[0, 0], [1, 1], [2, True]], [[0, 0], [1, 1], [2, 1e9]]),
        [[0, 0]] * 2000,
    ],
)
def test_polygons_refused(value: object) -> None:
    with pytest.raises(ValueError, match="corners"):
        parse_polygons(value)


@pytest.mark.parametrize(
    ("text", "epoch_s"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-01-05T09:00:00+01:00", 1_767_600_000.0),
        ("2026-01-05 08:00:00.25Z", 1_767_600_000.25),
    ],
)
def test_times(text: str, epoch_s: float) -> None:
    assert parse_time(text) == epoch_s


@pytest.mark.parametrize("value", ["2026-01-05T08:00:00", "now", 5, None, "1969-01-01T00:00:00Z"])
def test_times_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"zone|1970"):
        parse_time(value)
