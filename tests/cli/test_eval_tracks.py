"""`streamreid eval tracks` as a user calls it: stores, MOT text, AI-City text, mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamreid.cli.main import main
from streamreid.cli.store_tracks import FrameClock, looked_at
from streamreid.evaluation.track_files import boxes_of_rows
from streamreid.simulation.truth import SceneTruth, write_truth
from tests.cli.scene_store import store_of_truth
from tests.cli.scenes import small_truth


@pytest.fixture(scope="module")
def truth() -> SceneTruth:
    return small_truth()


@pytest.fixture
def site(truth: SceneTruth, tmp_path: Path) -> Path:
    write_truth(truth, tmp_path)
    return tmp_path


def _figures(*arguments: str | Path, out: Path) -> dict[str, Any]:
    command = ["eval", "tracks", *(str(argument) for argument in arguments), "--json", str(out)]
    assert main(command) == 0
    figures: dict[str, Any] = json.loads(out.read_text())
    return figures


def test_a_perfect_store_is_perfect(truth: SceneTruth, site: Path, tmp_path: Path) -> None:
    store_of_truth(truth, site / "s.sqlite")
    figures = _figures(site / "s.sqlite", "--truth", site, out=tmp_path / "f.json")
    assert figures["multi"]["idf1"] == figures["single"]["mota"] == 1.0
    assert set(figures["cameras"]) == set(truth.boxes)


def test_merged_people_cost_idf1_over_cameras(
    truth: SceneTruth, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_of_truth(truth, site / "s.sqlite", identity_of={1: 6})
    figures = _figures(site / "s.sqlite", "--truth", site, out=tmp_path / "f.json")
    assert figures["multi"]["idf1"] < 0.95
    assert figures["multi"]["found_identities"] == len(truth.people) - 1
    table = capsys.readouterr().out
    assert "over cameras" in table
    assert "corridor" in table


def test_frames_given_by_hand_agree_with_the_scene(
    truth: SceneTruth, site: Path, tmp_path: Path
) -> None:
    store_of_truth(truth, site / "s.sqlite")
    arguments: list[str | Path] = [site / "s.sqlite", "--truth", site, "--fps", "10"]
    for camera in truth.boxes:
        arguments += ["--start", f"{camera}=2026-01-05T08:00:00Z"]
    figures = _figures(*arguments, out=tmp_path / "f.json")
    assert figures["multi"]["idf1"] == 1.0
    late = [*arguments, "--start", "yard=2026-01-05T08:00:30Z"]
    assert _figures(*late, out=tmp_path / "g.json")["cameras"]["yard"]["idf1"] < 0.5


def test_json_can_go_to_standard_output(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "tracks", str(site), "-t", str(site), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["single"]["idf1"] == 1.0


def test_ai_city_text_and_single_files(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1 5 1 0 0 9 9 0 0\n2 5 2 0 0 9 9 0 0\n")
    (tmp_path / "found.txt").write_text("1 8 1 0 0 9 9 0 0\n2 9 2 0 0 9 9 0 0\n")
    figures = _figures(
        tmp_path / "found.txt", "--truth", tmp_path / "gt.txt", out=tmp_path / "f.json"
    )
    assert (figures["multi"]["idf1"], figures["single"]["idf1"]) == (0.5, 1.0)
    (tmp_path / "a.gt.txt").write_text("1,1,0,0,9,9\n")
    (tmp_path / "b.txt").write_text("1,4,0,0,9,9\n")
    figures = _figures(
        tmp_path / "b.txt", "--truth", tmp_path / "a.gt.txt", out=tmp_path / "g.json"
    )
    assert figures["cameras"]["a"]["idf1"] == 1.0


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "add --fps, such as --fps 25"),
        (["--fps", "10", "--start", "hall=2026-01-05T08:00:00Z"], "--start names hall"),
        (["--fps", "10", "--start", "yard=noon"], "expected CAMERA=TIME"),
    ],
    ids=["no-rate", "unknown-camera", "no-time"],
)
def test_what_is_missing_is_said(
    truth: SceneTruth,
    site: Path,
    extra: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store_of_truth(truth, site / "s.sqlite")
    (site / "truth.json").unlink()
    assert main(["eval", "tracks", str(site / "s.sqlite"), "-t", str(site), *extra]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_looked_at_keeps_the_sampled_frames() -> None:
    truth = boxes_of_rows([(frame, 1, 0.0, 0.0, 1.0, 1.0) for frame in range(1, 21)])
    assert looked_at(truth, FrameClock(100.0, 10.0), 5.0).time.tolist() == list(range(1, 21, 2))
    assert len(looked_at(truth, FrameClock(100.0, 10.0), 50.0)) == 20
