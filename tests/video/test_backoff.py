"""Waiting before a camera is tried again."""

import random

import pytest

from streamreid.video.backoff import Backoff


def test_delays_double_up_to_ten_seconds_with_jitter() -> None:
    backoff = Backoff(random.Random(1))
    delays = [backoff.delay_s(misconfigured=False) for _ in range(10)]
    expected = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0, 10.0]
    for delay_s, base_s in zip(delays, expected, strict=True):
        assert 0.8 * base_s <= delay_s <= 1.2 * base_s
    assert len(set(delays)) == len(delays)


def test_a_wrong_password_is_asked_for_slowly_at_once() -> None:
    backoff = Backoff(random.Random(1))
    assert 48.0 <= backoff.delay_s(misconfigured=True) <= 72.0
    assert backoff.delay_s(misconfigured=False) < 0.3


@pytest.mark.parametrize(
    ("cut_off", "short_s", "enough_s"),
    [(False, 9.0, 10.0), (True, 0.9, 1.0)],
    ids=["after-an-error", "after-a-clean-end"],
)
def test_only_enough_frames_reset_it(cut_off: bool, short_s: float, enough_s: float) -> None:
    backoff = Backoff(random.Random(1))
    for _ in range(5):
        backoff.delay_s(misconfigured=False)
    backoff.healthy(short_s, cut_off=cut_off)
    assert backoff.delay_s(misconfigured=False) > 2.0
    backoff.healthy(enough_s, cut_off=cut_off)
    assert backoff.delay_s(misconfigured=False) < 0.3
