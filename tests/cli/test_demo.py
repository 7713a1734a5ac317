"""The demo: what it says about a run, what it never overwrites, and the whole job for real."""

import io
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from streamreid.cli.demo_job import REPORT, SHEET, STORE, prepare_folder, show_results
from streamreid.cli.demo_score import score_scene
from streamreid.cli.main import main
from streamreid.errors import ConfigError
from streamreid.simulation.demo_scene import LOOK_ALIKES, demo_scene, short_scene
from streamreid.simulation.recording import record_scene
from streamreid.simulation.truth import SceneTruth, write_truth
from tests.cli.scene_store import store_of_truth
from tests.cli.scenes import small_truth


@pytest.fixture(scope="module")
def truth() -> SceneTruth:
    return small_truth()


def test_a_store_that_is_right_scores_one(truth: SceneTruth, tmp_path: Path) -> None:
    store_of_truth(truth, tmp_path / STORE)
    score = score_scene(tmp_path / STORE, truth)
    assert score.pair_f1 == score.tracking.multi.idf1 == 1.0
    assert score.look_alikes_apart
    assert score.sightings == len(score.person_of) == 28


def test_confusing_the_look_alikes_is_noticed(truth: SceneTruth, tmp_path: Path) -> None:
    first, second = LOOK_ALIKES
    store_of_truth(truth, tmp_path / STORE, identity_of={second: first})
    score = score_scene(tmp_path / STORE, truth)
    assert not score.look_alikes_apart
    assert score.figures is not None
    # 7 people in 4 cameras: 42 true pairs, all found, and 16 false ones.
    assert score.figures.pair_recall == 1.0
    assert score.figures.pair_precision == pytest.approx(42 / 58)
    assert score.figures.identities == 6


def test_results_are_drawn_and_said(tmp_path: Path) -> None:
    scene = short_scene(demo_scene(), duration_s=9.0, cameras=1)
    truth = record_scene(scene, tmp_path, alike=[LOOK_ALIKES])
    store_of_truth(truth, tmp_path / STORE)
    said_to = io.StringIO()
    console = Console(width=200, file=said_to)
    show_results(tmp_path, truth, console)
    said = said_to.getvalue()
    assert "F1 1.00" in said
    assert "look-alikes 3/4: kept apart" in said
    assert str(tmp_path / REPORT) in said.replace("\n", "")
    sheet = cv2.imread(str(tmp_path / SHEET))
    assert sheet is not None
    assert sheet.shape[1] == 3 * 480 + 2 * 4
    assert (tmp_path / REPORT).stat().st_size > 5000


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="not from a demo"):
        prepare_folder(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    with pytest.raises(ConfigError, match="is a file"):
        prepare_folder(tmp_path / "thesis.tex")


def test_an_older_demo_is_cleared_and_nothing_else(truth: SceneTruth, tmp_path: Path) -> None:
    write_truth(truth, tmp_path)
    for name in ("yard.mp4", STORE, f"{STORE}-wal", REPORT, "notes.md", "holiday.png"):
        (tmp_path / name).write_text("old")
    (tmp_path / "streamreid.run").mkdir()
    prepare_folder(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"notes.md", "holiday.png", "truth.json"}


def test_an_unknown_detector_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--detector", "psychic", "--out", str(tmp_path)]) == 2
    assert "use one of auto, yolo, motion" in " ".join(capsys.readouterr().err.split())
