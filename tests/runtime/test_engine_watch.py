"""What the engine notices reaches counters and the log, each thing once."""

import logging
from dataclasses import dataclass, field

import pytest

from streamreid.runtime.counter_table import CounterName, GaugeName
from streamreid.runtime.engine_watch import EngineWatch


@dataclass
class Scripted:
    """An engine that notices what the test says, and counters that remember."""

    violations: int = 0
    said: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        return list(self.said)

    def add(self, name: CounterName, count: int = 1) -> None:
        self.values[name] = self.values.get(name, 0) + count

    def set(self, name: GaugeName, value: float) -> None:
        self.values[name] = value


def test_warnings_are_logged_when_they_appear_and_violations_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scripted()
    watch = EngineWatch(scene, scene)
    with caplog.at_level(logging.WARNING):
        watch.look()
        scene.violations, scene.said = 2, ["camera 'door': its clock moved"]
        watch.look()
        watch.look()
        assert scene.values == {"clock_warnings": 1, "in_two_places": 2}
        scene.violations, scene.said = 3, []
        watch.look()
    assert scene.values == {"clock_warnings": 0, "in_two_places": 3}
    told = [(record.levelname, vars(record)["fields"]["detail"]) for record in caplog.records]
    assert told == [("WARNING", "camera 'door': its clock moved")]
