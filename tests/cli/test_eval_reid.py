"""`eval reid` and `explain` from the command line, on drawn people and the ImageNet start."""

import json
from pathlib import Path

import pytest
from PIL import Image

from streamreid.cli.main import main
from tests.evaluation.synthetic_people import draw_person, plant_people


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People of 160x60 pixels: neither the size nor the shape that the weights want."""
    folder = tmp_path_factory.mktemp("people")
    return plant_people(folder, identities=3, cameras=2, per_camera=2, size=(160, 60))


def run(root: Path, *options: str) -> int:
    start = ["eval", "reid", "--dataset", "folder", "--root", str(root), "--weights", "imagenet"]
    return main([*start, *options])


def test_figures_are_printed_and_written(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    report = tmp_path / "report"
    options = ["--rerank", "--tlift", "--json", str(out), "--report", str(report)]
    assert run(root, *options) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["dataset"] == "folder"
    assert (figures["queries"], figures["gallery"]) == (6, 6)
    assert list(figures["results"]) == ["plain", "tlift", "rerank", "rerank_tlift"]
    for stage in figures["results"].values():
        assert {"rank1", "rank5", "rank10", "mAP"} <= set(stage)
        assert all(0.0 <= value <= 1.0 for value in stage.values())
    assert figures["seconds"]["total"] > 0
    assert (report / "report.html").is_file()
    printed = capsys.readouterr().out
    assert "re-ranking + TLift" in printed
    assert "6 queries" in printed


def test_json_on_stdout_is_all_of_stdout(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--json", "-") == 0
    captured = capsys.readouterr()
    assert list(json.loads(captured.out)["results"]) == ["plain"]
    assert "plain" in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--query", "nowhere"], "query 'nowhere' does not exist"),
        (["--json", "no/such/folder/a.json"], "its folder does not exist"),
        (["--clock", "no.csv"], "clock file no.csv cannot be read"),
        (["--weights", "no.safetensors"], "no.safetensors"),
    ],
)
def test_mistakes_are_one_line(
    root: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert error.startswith("error: ")


def test_explain_draws_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "a.jpg", tmp_path / "b.png"]
    for camera, path in enumerate(paths):
        Image.fromarray(draw_person(1, camera, 0, (120, 50))).save(path)
    picture = tmp_path / "why.png"
    arguments = ["explain", *map(str, paths), "--weights", "imagenet"]
    assert main([*arguments, "--out", str(picture), "--top", "7", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["correspondences"]) == 7
    assert 0.0 <= facts["probability"] <= 1.0
    with Image.open(picture) as image:
        assert image.size[0] > image.size[1]
    assert main(arguments) == 0
    assert "adds to the score" in capsys.readouterr().out


def test_explain_refuses_what_is_no_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "a.jpg"
    text.write_text("no image", encoding="utf-8")
    assert main(["explain", str(text), str(text), "--weights", "imagenet"]) == 2
    assert "is no image file" in capsys.readouterr().err
    assert main(["explain", str(text), str(text), "--out", str(tmp_path / "a.gif")]) == 2
    assert "give a .png file" in capsys.readouterr().err
