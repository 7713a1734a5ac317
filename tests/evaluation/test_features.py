"""Reading images of any kind, and naming those that are broken."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.evaluation.features import extract, read_rgb
from tests.evaluation.synthetic_people import draw_person, embed_bands


def save(path: Path, mode: str = "RGB") -> Path:
    Image.fromarray(draw_person(1, 1, 0, (40, 20))).convert(mode).save(path)
    return path


def record(path: Path) -> ImageRecord:
    return ImageRecord(path, 1, 0, None)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.png", "RGB"),
        ("a.png", "L"),
        ("a.png", "RGBA"),
        ("a.png", "P"),
        ("a.jpg", "CMYK"),
        ("a.bmp", "RGB"),
        ("a.webp", "RGB"),
        ("a.tif", "RGB"),
    ],
)
def test_any_kind_of_image_becomes_rgb(name: str, mode: str, tmp_path: Path) -> None:
    pixels = read_rgb(save(tmp_path / name, mode))
    assert pixels.shape == (40, 20, 3)
    assert pixels.dtype == np.uint8


def test_broken_images_are_left_out_and_named(tmp_path: Path) -> None:
    fine = save(tmp_path / "fine.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(fine.read_bytes()[:200])
    text = tmp_path / "text.jpg"
    text.write_text("no image", encoding="utf-8")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    paths = [cut, fine, text, empty, tmp_path / "absent.png"]
    reported: list[int] = []
    features = extract(
        [record(path) for path in paths],
        lambda crops: torch.from_numpy(embed_bands(list(crops))),
        split="query",
        batch=2,
        progress=reported.append,
    )
    assert [item.path.name for item in features.records] == ["fine.png"]
    assert len(features.maps) == 1
    assert [item.path for item in features.broken] == [cut, text, empty, paths[4]]
    assert all(str(item.path) in item.reason for item in features.broken)
    assert reported == [2, 2, 1]


def test_batches_change_nothing(tmp_path: Path) -> None:
    paths = []
    for number in range(5):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(draw_person(number, 0, 0, (50, 20))).save(paths[-1])
    results = [
        extract(
            [record(path) for path in paths],
            lambda crops: torch.from_numpy(embed_bands(list(crops))),
            split="gallery",
            dtype=torch.float32,
            batch=batch,
        ).maps.data
        for batch in (1, 2, 5)
    ]
    torch.testing.assert_close(results[0], results[1], atol=0, rtol=0)
    torch.testing.assert_close(results[0], results[2], atol=0, rtol=0)


@pytest.mark.parametrize("names", [[], ["absent.png"]])
def test_a_split_without_a_readable_image_is_named(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the gallery split has no readable image"):
        extract(
            [record(tmp_path / name) for name in names],
            lambda crops: torch.from_numpy(embed_bands(list(crops))),
            split="gallery",
        )
