"""`streamreid eval stream`: what it refuses, before any work is done."""

from pathlib import Path

import pytest

from streamreid.cli.main import main


def folder(path: Path, name: str) -> Path:
    """A data set with one image in each split."""
    for split in ("query", "gallery"):
        (path / split).mkdir(parents=True)
        (path / split / name).touch()
    return path


def run(root: Path, clock: Path, *more: str) -> int:
    return main(
        [
            *("eval", "stream", "--dataset", "folder", "--root", str(root)),
            *("--query", str(root / "query"), "--gallery", str(root / "gallery")),
            *("--clock", str(clock), *more),
        ]
    )


def test_names_without_times_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = tmp_path / "clock.csv"
    clock.write_text("camera,sequence,offset_frames\n1,1,0\n")
    assert run(folder(tmp_path, "0001_c1_05.jpg"), clock) == 2
    assert "has no time" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "camera,offset\n1,2\n"])
def test_a_clock_that_cannot_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    clock = tmp_path / "clock.csv"
    if text is not None:
        clock.write_text(text)
    assert run(folder(tmp_path, "0001_c1s1_000005_01.jpg"), clock) == 2
    assert "clock" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "none" / "out.json"
    assert run(tmp_path, tmp_path / "clock.csv", "--json", str(target)) == 2
    assert "its folder does not exist" in capsys.readouterr().err
