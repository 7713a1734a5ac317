"""Recorded scenes: real video files, the truth beside them, a configuration that loads."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from streamreid.config import load_config
from streamreid.errors import DatasetError, StoreError
from streamreid.simulation.demo_scene import LOOK_ALIKES, demo_scene, short_scene
from streamreid.simulation.recording import EPOCH_S, record_scene, write_video
from streamreid.simulation.scene import Scene
from streamreid.simulation.truth import TRUTH_FILE, SceneTruth, read_truth, sightings_of
from streamreid.types import CameraId


def _scene() -> Scene:
    scene = replace(short_scene(demo_scene(), duration_s=6.0, cameras=2), width=320, height=180)
    late = replace(scene.cameras[1], started_at_s=1.5)
    return replace(scene, cameras=(scene.cameras[0], late))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SceneTruth]:
    folder = tmp_path_factory.mktemp("scene")
    truth = record_scene(
        _scene(), folder, alike=[LOOK_ALIKES], settings=("detector: {kind: motion}",)
    )
    return folder, truth


def test_the_files_are_h264_with_every_frame(recorded: tuple[Path, SceneTruth]) -> None:
    folder, _ = recorded
    with av.open(str(folder / "entrance.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (320, 180)
        assert stream.average_rate == 10
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx(np.arange(60) / 10)


def test_equal_scenes_give_equal_bytes(recorded: tuple[Path, SceneTruth], tmp_path: Path) -> None:
    folder, truth = recorded
    again = record_scene(
        _scene(), tmp_path, alike=[LOOK_ALIKES], settings=("detector: {kind: motion}",)
    )
    assert again == truth
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_the_configuration_names_the_files(recorded: tuple[Path, SceneTruth]) -> None:
    folder, _ = recorded
    config = load_config(folder / "cams.yaml")
    assert config.detector.kind == "motion"
    door = config.camera(CameraId("entrance"))
    assert Path(door.url.reveal()) == folder / "entrance.mp4"
    assert door.start_time_s == EPOCH_S
    assert config.camera(CameraId("corridor")).start_time_s == EPOCH_S + 1.5


def test_the_truth_comes_back_as_it_was_written(recorded: tuple[Path, SceneTruth]) -> None:
    folder, truth = recorded
    read = read_truth(folder)
    assert (read.fps, read.started_at_s) == (truth.fps, truth.started_at_s)
    assert (read.sightings, read.look_alikes) == (truth.sightings, (LOOK_ALIKES,))
    assert read.people == truth.people
    for camera, boxes in truth.boxes.items():
        for box, back in zip(boxes, read.boxes[camera], strict=True):
            assert (box.frame, box.person) == (back.frame, back.person)
            assert back.box_xyxy == pytest.approx(box.box_xyxy, abs=0.011)


def test_mot_text_has_ten_columns(recorded: tuple[Path, SceneTruth]) -> None:
    folder, _ = recorded
    lines = (folder / "entrance.gt.txt").read_text().splitlines()
    assert len(lines) > 20
    for line in lines:
        assert line.endswith(",1,-1,-1,-1")
        assert line.count(",") == 9


def test_a_gap_of_a_second_starts_a_new_sighting(recorded: tuple[Path, SceneTruth]) -> None:
    _, truth = recorded
    camera = CameraId("entrance")
    boxes = [box for box in truth.boxes[camera] if box.person == 1]
    frames = [box.frame for box in boxes]
    whole = sightings_of(boxes, camera, started_at_s=0.0, fps=10)
    assert len(whole) == 1
    assert whole[0].from_s == pytest.approx((min(frames) - 1) / 10)
    middle = (min(frames) + max(frames)) // 2
    split = [box for box in boxes if not middle <= box.frame < middle + 10]
    assert len(sightings_of(split, camera, started_at_s=0.0, fps=10)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not the truth of a drawn scene"),
        ('{"streamreid_truth": 9}', "this version reads 1"),
        ('{"streamreid_truth": 1}', "not the truth of a drawn scene"),
        ("[]", "not the truth of a drawn scene"),
    ],
    ids=["broken", "newer", "incomplete", "other-json"],
)
def test_a_bad_truth_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / TRUTH_FILE).write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_truth(tmp_path)


def test_a_missing_truth_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="streamreid simulate video"):
        read_truth(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write the scene"):
        record_scene(_scene(), tmp_path / "file")


def test_frames_are_counted(tmp_path: Path) -> None:
    pictures = [np.full((16, 16, 3), value, np.uint8) for value in (0, 100, 200)]
    assert write_video(pictures, tmp_path / "v.mp4", fps=5) == 3
