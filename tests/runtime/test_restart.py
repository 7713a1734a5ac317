"""When a process is started again."""

import pytest

from streamreid.runtime.restart import Decision, RestartHistory, RestartRules

RULES = RestartRules()


def decide_all(
    deaths: list[tuple[float, float, int]], rules: RestartRules = RULES
) -> list[Decision]:
    history = RestartHistory(rules)
    return [history.decide(code, now_s=now, uptime_s=up) for now, up, code in deaths]


@pytest.mark.parametrize(
    ("code", "live", "verdict"),
    [
        (0, True, "finished"),
        (0, False, "finished"),
        (2, True, "misconfigured"),
        (2, False, "misconfigured"),
        (3, True, "restart"),
        (3, False, "failed"),
        (1, True, "restart"),
        (1, False, "restart"),
        (-9, True, "restart"),
        (4, True, "restart"),
    ],
)
def test_the_first_end_is_judged_by_its_exit_code(code: int, live: bool, verdict: str) -> None:
    rules = RestartRules(retry_for_ever=live)
    assert decide_all([(1.0, 1.0, code)], rules)[0].verdict == verdict


def test_waits_double_up_to_a_bound() -> None:
    deaths = [(100.0 * n, 20.0, 1) for n in range(10)]
    delays = [decision.delay_s for decision in decide_all(deaths)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_a_healthy_minute_forgets_the_past() -> None:
    decisions = decide_all([(0.0, 5.0, 1), (10.0, 5.0, 1), (100.0, 60.0, 1)])
    assert [decision.delay_s for decision in decisions] == [0.2, 0.4, 0.2]


@pytest.mark.parametrize(
    ("times", "live", "verdict"),
    [
        ([0.0, 3.0, 6.0, 10.0], True, "parked"),
        ([0.0, 3.0, 6.0, 10.5], True, "restart"),
        ([0.0, 3.0, 6.0, 10.0], False, "failed"),
    ],
    ids=["four in ten seconds", "a little slower", "of a file"],
)
def test_a_crash_loop_is_parked(times: list[float], live: bool, verdict: str) -> None:
    rules = RestartRules(retry_for_ever=live)
    assert decide_all([(t, 0.5, -11) for t in times], rules)[-1].verdict == verdict


def test_a_parked_process_gets_four_new_chances() -> None:
    verdicts = [one.verdict for one in decide_all([(0.1 * n, 0.1, 1) for n in range(8)])]
    assert verdicts == ["restart"] * 3 + ["parked"] + ["restart"] * 3 + ["parked"]


def test_an_unreachable_source_is_no_crash_loop_but_is_retried_ever_more_slowly() -> None:
    decisions = decide_all([(0.1 * n, 0.1, 3) for n in range(12)])
    assert {one.verdict for one in decisions} == {"restart"}
    assert decisions[-1].delay_s == 60.0
