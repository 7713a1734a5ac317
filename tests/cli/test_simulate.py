"""`streamreid simulate` as a user calls it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamreid.cli.main import main
from streamreid.config import load_config
from streamreid.simulation.truth import read_truth


def test_visits_are_written_as_csv(tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    arguments = ["--scenario", "groups", "--cameras", "8", "--people", "30", "--out", str(out)]
    assert main(["simulate", "visits", *arguments]) == 0
    lines = out.read_text().splitlines()
    assert lines[0].startswith("person,camera,enter_s,leave_s")
    assert {line.split(",")[0] for line in lines[1:]} == {str(person) for person in range(1, 31)}


def test_video_comes_with_truth_and_configuration(tmp_path: Path) -> None:
    options = ["--cameras", "2", "--people", "3", "--seconds", "14", "--fps", "5", "--width", "321"]
    assert main(["simulate", "video", *options, "--out", str(tmp_path)]) == 0
    truth = read_truth(tmp_path)
    assert truth.people
    config = load_config(tmp_path / "cams.yaml")
    assert sorted(config.cameras) == ["cam01", "cam02"]
    for name in config.cameras:
        assert (tmp_path / f"{name}.mp4").stat().st_size > 1000


def test_crops_of_a_folder_walk_through_the_network(tmp_path: Path) -> None:
    source = tmp_path / "set" / "bounding_box_test"
    source.mkdir(parents=True)
    for person in range(1, 6):
        for camera in (1, 2):
            pixels = np.full((8, 4, 3), 40 * person, np.uint8)
            Image.fromarray(pixels).save(source / f"{person:04d}_c{camera}_1.png")
    arguments = ["--root", str(tmp_path / "set"), "--gallery", "bounding_box_test"]
    options = ["--people", "5", "--out", str(tmp_path / "out")]
    assert main(["simulate", "crops", *arguments, *options]) == 0
    assert len(list((tmp_path / "out" / "bounding_box_test").glob("*.png"))) >= 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["visits", "--scenario", "crowded", "--out", "x"], "unknown scenario 'crowded'; use one"),
        (["crops", "--root", "nowhere", "--out", "x"], "nowhere does not exist"),
    ],
)
def test_mistakes_are_one_clear_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
