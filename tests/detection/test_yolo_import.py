"""Importing ultralytics must not change how pictures are opened elsewhere in the process."""

from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from streamreid.detection.yolo import load_person_network
from streamreid.errors import WeightsError


def test_a_damaged_picture_stays_a_damaged_picture(tmp_path: Path) -> None:
    weights, picture = tmp_path / "weights.pt", tmp_path / "text.jpg"
    weights.write_bytes(b"no weights")
    picture.write_text("no picture")
    with pytest.raises(WeightsError):
        load_person_network(weights, settings_dir=tmp_path)
    with pytest.raises(UnidentifiedImageError):
        Image.open(picture)
