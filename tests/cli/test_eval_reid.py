"""`eval reid` and `explain` from the command line, on drawn people and the ImageNet start."""

import json
from pathlib import Path
from typing import Any

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


def test_lists_folders_clock_sizes_and_broken_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a user brings it: lists and folders of one's own, images of any size, two damaged."""
    root = plant_people(tmp_path / "data", identities=2, cameras=2, per_camera=3, size=(160, 60))
    items = sorted((root / "bounding_box_test").iterdir())
    Image.fromarray(draw_person(1, 1, 1, (90, 33))).save(items[0])
    Image.fromarray(draw_person(1, 1, 2, (384, 128))).save(items[1])
    items[2].write_bytes(items[3].read_bytes()[:99])
    queries = sorted((root / "query").iterdir())
    queries[3].write_bytes(b"")
    (root / "q.txt").write_text(
        "\n".join(path.name for path in (queries[0], queries[3])), encoding="utf-8"
    )
    gallery = (root / "bounding_box_test").rename(tmp_path / "elsewhere")
    clock = tmp_path / "clock.csv"
    clock.write_text("camera,sequence,offset_frames\n1,1,0\n2,1,-1000\n", encoding="utf-8")
    out = tmp_path / "figures.json"
    options = ["--query", "q.txt", "--gallery", str(gallery), "--clock", str(clock), "--tlift"]
    assert run(root, *options, "--json", str(out)) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert (figures["queries"], figures["gallery"]) == (1, 7)
    assert figures["clock"] == "clock file clock.csv"
    assert {Path(item["file"]).name for item in figures["broken"]} == {
        queries[3].name,
        items[2].name,
    }
    printed = capsys.readouterr().out.replace("\n", "")
    assert "left out because they cannot be read: 2 images" in printed
    assert items[2].name in printed
    assert queries[3].name in printed


@pytest.mark.parametrize(
    ("tree", "options", "message"),
    [
        ({"timed": False}, ["--tlift"], "TLift needs a time for every image, but 4 of 4"),
        ({"cameras": 1}, [], "nothing can be ranked"),
        ({}, ["--root", "no/such/folder"], "data set folder no/such/folder does not exist"),
        ({}, ["--gallery", "empty.txt"], "holds no file name"),
        ({"per_camera": 1}, [], "holds no image"),
    ],
    ids=["no times", "no match", "no root", "empty list", "empty gallery"],
)
def test_data_that_cannot_be_evaluated_leaves_nothing_behind(
    tmp_path: Path,
    tree: dict[str, Any],
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    size: dict[str, Any] = {"identities": 1, "cameras": 2, "per_camera": 2, "size": (40, 20)}
    root = plant_people(tmp_path / "data", **(size | tree))
    (root / "empty.txt").write_text("\n", encoding="utf-8")
    outputs = ["--json", str(tmp_path / "out.json"), "--report", str(tmp_path / "report")]
    assert run(root, *options, *outputs) == 2
    error = capsys.readouterr().err.replace("\n", " ")
    assert message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--query", "nowhere"], "query 'nowhere' does not exist"),
        (["--json", "no/such/folder/a.json"], "its folder does not exist"),
        (["--clock", "no.csv"], "clock file no.csv cannot be read"),
        (["--weights", "no.safetensors"], "no.safetensors"),
        (["--device", "cuda:99"], "device is 'cuda:99', but this torch finds"),
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
