"""What the scorer's audit finds reaches the counters that `status` and the metrics read."""

from pathlib import Path

import pytest

from streamreid.gallery.local import LocalScorer
from streamreid.runtime.counter_rows import read_counters
from streamreid.runtime.counters import create_counters
from streamreid.runtime.matcher_chores import Chores
from streamreid.runtime.stream_books import StreamBooks
from streamreid.store import Housekeeper, HousekeepingRules, RunInfo, open_store
from streamreid.types import CropKey
from tests.fakes import ManualClock
from tests.gallery.builders import entry, make_crops, make_scorer


def scorer_of_pairs(people: int) -> LocalScorer:
    """Everybody twice; every query is audited."""
    scorer = make_scorer(capacity=2 * people, audited_share=1.0, miss_rate=0.1)
    entries = [entry(i + 1, track=i, at_s=float(i)) for i in range(2 * people)]
    scorer.insert(entries, scorer.embed(make_crops(list(range(people)) * 2)))
    return scorer


def test_audits_of_the_shortlist_reach_the_gauges(tmp_path: Path) -> None:
    clock = ManualClock()
    scorer = scorer_of_pairs(260)
    with (
        create_counters(tmp_path, "matcher", "matcher", 1, clock=clock) as counters,
        open_store(tmp_path / "s.sqlite", run=RunInfo(), clock=clock) as store,
    ):
        rules = HousekeepingRules(max_age_s=1e9, min_free_bytes=0, reserve_bytes=0)
        chores = Chores(
            housekeeper=Housekeeper(store, clock=clock, rules=rules),
            books=StreamBooks(tmp_path, store),
            control=None,
            scorer=scorer,
            counters=counters,
            clock=clock,
        )
        assert chores.turn(event_time_s=0.0)
        assert read_counters(tmp_path)[0].values["shortlist_audited"] == 0
        for number in range(1, 9):
            scorer.candidates([CropKey(number)], 0)  # loses everybody
        scorer.audit.finish(scorer.ring, scorer.head)
        clock.sleep(2.0)
        assert chores.turn(event_time_s=0.0)
        gauges = read_counters(tmp_path)[0].values
        chores.close()
    found = scorer.audit.report()
    assert found.audited == gauges["shortlist_audited"] > 0
    assert found.missed == gauges["shortlist_missed"] > 0
    assert gauges["gallery_crops"] == 520
    assert gauges["shortlist_size"] == found.size == pytest.approx(1, abs=20)
