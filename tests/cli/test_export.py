"""`streamreid export` as a user calls it."""

from pathlib import Path

import pytest

from streamreid.cli.main import main
from tests.store.builders import full_batch, open_writer


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration and the store of its run."""
    (tmp_path / "cams.yaml").write_text(
        "streamreid: 1\ncameras:\n"
        "  door: {url: door.mp4, start_time: 1970-01-01T00:01:40Z}\n"
        '  hall: {url: "rtsp://{env:NOT_SET}@h/1"}\n'
        "store: {path: s.sqlite}\n"
    )
    with open_writer(tmp_path / "s.sqlite") as store:
        store.commit(full_batch(store, 1))
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ("csv", "out/sightings.csv"),
        ("parquet", "out/sightings.parquet"),
        ("mot", "out/door.txt"),
        ("ai-city", "out"),
        ("sqlite", "out"),
        ("backup", "out"),
    ],
)
def test_every_format(
    site: Path, wanted: str, files: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--format", wanted, "--cameras", str(site / "cams.yaml"), str(site / "out")]
    assert main(["export", *arguments]) == 0
    assert str(site / files) in capsys.readouterr().out.replace("\n", " ")
    assert (site / files).stat().st_size > 0


def test_frames_count_from_the_configured_start(site: Path) -> None:
    arguments = ["-f", "mot", "--fps", "10", "-c", str(site / "cams.yaml"), str(site / "out")]
    assert main(["export", *arguments]) == 0
    assert (site / "out" / "door.txt").read_text().startswith("11,2,10.00,20.00,30.00,60.00,")


def test_a_store_can_be_named_without_a_configuration(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert main(["export", "-f", "csv", "-s", str(site / "s.sqlite"), "out"]) == 0
    assert (empty / "out" / "tracks.csv").exists()


def test_what_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "-f", "csv", "out"]) == 2
    assert "cams.yaml is not a file" in capsys.readouterr().err
    assert main(["export", "-f", "csv", "-s", "none.sqlite", "out"]) == 4
    assert "none.sqlite does not exist" in capsys.readouterr().err
    assert main(["export", "-f", "xml", "out"]) == 2
