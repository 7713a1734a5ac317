"""A short soak: four RTSP cameras, people who are known, faults of every kind (R10 in short).

Full length, beside a run without faults: scripts/soak.py.
"""

from pathlib import Path

import pytest

from tests.chaos.soak import Plan, problems, soak
from tests.chaos.soak_compare import without_after
from tests.chaos.soak_scene import drawn_scene
from tests.chaos.soak_score import score

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(400)]


def test_r10_a_soak_of_two_minutes_keeps_the_books_and_knows_its_people(tmp_path: Path) -> None:
    seconds = 110.0
    truth = drawn_scene(tmp_path / "scene", seconds)
    found = soak(Plan(seconds, seed=3, every_s=11.0), tmp_path / "scene", tmp_path / "run")
    assert problems(found) == []
    assert {one["kind"] for one in found["faults"]} == {
        "server killed",
        "server frozen",
        "worker killed",
        "matcher killed",
    }
    assert found["crop rows"] > 5
    report = score(
        tmp_path / "run" / "soak.sqlite",
        truth,
        origin_s=found["origin_s"],
        left_out=without_after(found["blind"], seconds),
    )
    assert report.single.idf1 > 0.6
    assert report.multi.idf1 > 0.5
