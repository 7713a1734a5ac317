"""How often a worker introduces itself, in plain numbers."""

import pytest

from streamreid.messages import Welcome
from streamreid.transport.handshake import Handshake


class _Hellos(list[float]):
    """The times at which Hello was said, by a clock that the test moves."""

    now_s = 0.0

    def __call__(self) -> None:
        self.append(self.now_s)


@pytest.fixture
def hellos() -> _Hellos:
    return _Hellos()


def _pass(handshake: Handshake, hellos: _Hellos, until_s: float, *, unanswered: bool) -> None:
    """Let time pass in steps of a tenth of a second."""
    while hellos.now_s < until_s:
        hellos.now_s = round(hellos.now_s + 0.1, 1)
        handshake.repeat(hellos.now_s, unanswered=unanswered)


def test_hello_is_repeated_ever_more_slowly_until_there_is_a_welcome(hellos: _Hellos) -> None:
    handshake = Handshake(hellos, 0.0)
    _pass(handshake, hellos, 1.0, unanswered=True)
    assert hellos == []  # nobody is there
    handshake.connected(1.0)
    _pass(handshake, hellos, 40.0, unanswered=False)
    assert hellos == [1.0, 2.0, 4.0, 8.0, 16.0, 26.0, 36.0]
    assert handshake.accept(Welcome(7, 64), 40.0)
    assert (handshake.welcomed, handshake.epoch) == (True, 7)
    _pass(handshake, hellos, 60.0, unanswered=False)
    assert len(hellos) == 7


def test_silence_after_something_was_sent_is_asked_about(hellos: _Hellos) -> None:
    handshake = Handshake(hellos, 0.0)
    handshake.connected(0.0)
    assert handshake.accept(Welcome(7, 64), 0.0)
    handshake.heard_at_s = 4.0
    _pass(handshake, hellos, 9.0, unanswered=True)
    assert hellos == [0.0]
    _pass(handshake, hellos, 9.5, unanswered=True)
    assert hellos == [0.0, 9.1]
    assert handshake.welcomed  # asked about, not given up


def test_a_welcome_that_nobody_waits_for_changes_nothing(hellos: _Hellos) -> None:
    handshake = Handshake(hellos, 0.0)
    handshake.connected(0.0)
    assert handshake.accept(Welcome(7, 64), 0.0)
    assert not handshake.accept(Welcome(7, 64), 1.0)
    assert handshake.accept(Welcome(8, 64), 2.0)  # another matcher took its place
    assert handshake.epoch == 8


def test_who_are_you_is_answered_once(hellos: _Hellos) -> None:
    handshake = Handshake(hellos, 0.0)
    handshake.connected(0.0)
    assert not handshake.asked(0.5)  # we have just said it
    assert handshake.accept(Welcome(7, 64), 1.0)
    assert handshake.asked(2.0)
    assert not handshake.welcomed
    assert len(hellos) == 2
    handshake.disconnected()
    _pass(handshake, hellos, 30.0, unanswered=True)
    assert len(hellos) == 2
