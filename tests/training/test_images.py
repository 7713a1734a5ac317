"""Reading training images: labels of several sources, selection, broken files."""

from pathlib import Path

import pytest
import torch

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import load
from streamreid.training.images import ImageSet, load_images
from tests.training.builders import make_images, write_folder


def read(root: Path) -> ImageSet:
    records = load("folder", root, train="bounding_box_train", required=("train",)).train
    return load_images([records, records], (64, 32))


def test_sources_get_identities_of_their_own(tmp_path: Path) -> None:
    written = make_images(identities=3, cameras=2, each=1)
    write_folder(tmp_path, written)
    images = read(tmp_path)
    assert len(images) == 12
    assert images.identity.unique().tolist() == [0, 1, 2, 3, 4, 5]
    assert images.source.tolist() == [0] * 6 + [1] * 6
    assert torch.equal(images.pixels[:6], written.pixels)


def test_selected_identities_are_numbered_anew() -> None:
    images = make_images(identities=4)
    kept = images.select(images.identity >= 2)
    assert kept.identity.unique().tolist() == [0, 1]
    assert len(kept) == 8


@pytest.mark.parametrize("kept", [0, 8, -40], ids=["empty", "header", "cut off"])
def test_a_broken_image_is_named(tmp_path: Path, kept: int) -> None:
    folder = write_folder(tmp_path, make_images(identities=2))
    victim = sorted(folder.iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=rf"{victim.name}.*leave it out of the list"):
        read(tmp_path)


def test_arrays_of_different_length_are_refused() -> None:
    images = make_images(identities=2)
    with pytest.raises(ValueError, match="same length"):
        ImageSet(images.pixels, images.identity[1:], images.camera, images.source)
