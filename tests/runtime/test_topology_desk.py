"""Requests about learned ways reach the engine, the store and the audit, and survive a restart."""

import json
from pathlib import Path

import pytest

from streamreid.control import Caller
from streamreid.engine.engine import Engine
from streamreid.engine.events import Outcome
from streamreid.engine.settings import EngineSettings
from streamreid.errors import ControlError
from streamreid.runtime.corrections import NoScorer
from streamreid.runtime.topology_desk import TopologyDesk, freeze_at_rest
from streamreid.store import Batch, restore
from tests.store.builders import open_writer

ASKING = Caller(1, 1)


def engine() -> Engine:
    return Engine(NoScorer(), settings=EngineSettings())


def test_a_freeze_is_stored_and_comes_back_after_a_restart(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:

        def commit(outcome: Outcome) -> None:
            store.commit(Batch(outcome=outcome))

        running = engine()
        desk = TopologyDesk(running, store, commit=commit, now_s=lambda: 50.0)
        answer = desk.handle("topology.freeze", {"actor": "ana"}, ASKING)
        assert answer == {"frozen": True, "warnings": [], "in_two_places": 0}
        again = engine()
        again.restore(restore(store, since_s=0.0))
        assert again.frozen
        assert desk.handle("topology.thaw", {}, ASKING)["frozen"] is False
        assert desk.handle("topology.health", {}, ASKING)["frozen"] is False
        said = store.connection.execute("SELECT actor, action FROM audit ORDER BY id").fetchall()
        assert said == [("ana", "topology.freeze"), ("operator", "topology.thaw")]
        value = store.connection.execute("SELECT value FROM time_records").fetchone()[0]
        assert json.loads(value) == [0.0]


def test_a_store_at_rest_is_frozen_for_the_next_run(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        freeze_at_rest(store, True, at_s=5.0)
        running = engine()
        running.restore(restore(store, since_s=0.0))
    assert running.frozen


def test_unknown_verbs_are_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        desk = TopologyDesk(engine(), store, commit=lambda _: None, now_s=lambda: 0.0)
        with pytest.raises(ControlError, match="it knows topology"):
            desk.handle("topology.melt", {}, ASKING)
