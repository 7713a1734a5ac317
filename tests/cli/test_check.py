"""`streamreid check` on cameras that answer and cameras that do not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.cli.main import main
from tests.shared_data import shared_path
from tests.video.clips import write_clip
from tests.video.servers import free_port


def write_config(folder: Path, cameras: str, rest: str = "detector: {kind: motion}\n") -> Path:
    path = folder / "cams.yaml"
    path.write_text(f"streamreid: 1\ncameras:\n{cameras}{rest}")
    return path


def check(path: Path, *arguments: str) -> int:
    sheet = path.with_name("sheet.png")
    return main(["check", "-c", str(path), "--sheet", str(sheet), "--wait", "10", *arguments])


def test_cameras_that_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "a.mp4", size=(160, 120))
    write_clip(tmp_path / "b.mp4", size=(320, 180))
    mask = "mask: [[0, 0], [320, 0], [320, 180], [0, 180]]"
    path = write_config(tmp_path, f"  a: {{url: a.mp4}}\n  b: {{url: b.mp4, {mask}}}\n")
    assert check(path) == 0
    shown = capsys.readouterr().out
    assert "160x120" in shown
    assert "every camera answers" in shown
    sheet = tmp_path / "sheet.png"
    assert sheet.stat().st_mode & 0o077 == 0
    picture = cv2.imread(str(sheet))
    assert picture is not None
    half = picture.shape[1] // 3
    # What is masked is black on the sheet too; the other picture is not.
    assert np.median(picture[100:250, half + 10 : half + 400]) < 20
    assert np.median(picture[100:250, 10:400]) > 20


def test_one_that_does_not_answer_is_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    url = f"rtsp://user:Zq7word@127.0.0.1:{free_port()}/1"
    path = write_config(
        tmp_path,
        f"  good: {{url: a.mp4}}\n  text: {{url: text.mp4}}\n  gone: {{url: gone.mp4}}\n"
        f'  dead: {{url: "{url}"}}\n',
    )
    assert check(path, "--json", "--wait", "2") == 3
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    states = {camera["camera"]: camera for camera in answer["cameras"]}
    assert [camera["ok"] for camera in answer["cameras"]] == [True, False, False, False]
    assert states["good"]["people"] is not None
    assert "text.mp4" in states["text"]["error"]
    assert "gone.mp4" in states["gone"]["error"]
    assert states["dead"]["error"]
    assert "Zq7word" not in captured.out + captured.err
    assert b"Zq7word" not in (tmp_path / "sheet.png").read_bytes()


@pytest.mark.parametrize(
    ("cameras", "rest", "code", "expected"),
    [
        ("  a: {url: a.mp4, fsp: 3}\n", "", 2, "fsp is not a known key"),
        ("  a: {url: a.mp4}\n", "detector: {kind: yolo, weights: no.pt}\n", 2, "no.pt"),
        ("  a: {url: a.mp4}\n", "store: {path: none/s.sqlite}\n", 4, "does not exist; create it"),
    ],
)
def test_what_is_wrong_before_any_camera_is_opened(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cameras: str,
    rest: str,
    code: int,
    expected: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert check(write_config(tmp_path, cameras, rest)) == code
    assert expected in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.process
def test_people_are_found_in_real_footage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = shared_path("data/videos/pets09_s2l1_view1.mp4")
    weights = shared_path("weights/yolo26n.pt")
    path = write_config(
        tmp_path, f"  yard: {{url: {video}}}\n", f"detector: {{weights: {weights}}}\n"
    )
    assert check(path, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["detector"]["kind"] == "yolo"
    assert answer["cameras"][0]["people"] >= 2
