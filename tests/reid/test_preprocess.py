"""Resizing: the same pixels in training and inference, and no aliasing when crops shrink."""

import numpy as np
import pytest
import torch
from PIL import Image

from streamreid.reid.preprocess import prepare, resize, to_unit_range


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_prepare_stacks_crops_of_any_size_in_unit_range() -> None:
    batch = prepare([make_image(60, 25), make_image(384, 128), make_image(700, 300)], (384, 128))
    assert batch.shape == (3, 3, 384, 128)
    assert batch.dtype == torch.float32
    assert float(batch.min()) >= 0.0
    assert float(batch.max()) <= 1.0


def test_a_crop_of_the_right_size_is_only_converted() -> None:
    image = make_image(64, 32)
    expected = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(prepare([image], (64, 32))[0], expected, rtol=0, atol=0)


def test_training_and_inference_see_the_same_pixels() -> None:
    image = make_image(80, 33)
    stored = torch.from_numpy(resize(image, (64, 32)).copy())[None]
    torch.testing.assert_close(to_unit_range(stored), prepare([image], (64, 32)), rtol=0, atol=0)


def test_resize_is_pillows_bicubic() -> None:
    image = make_image(100, 41)
    expected = Image.fromarray(image).resize((32, 64), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resize(image, (64, 32)), np.asarray(expected))


def test_fine_stripes_shrink_to_grey_instead_of_aliasing() -> None:
    stripes = np.zeros((512, 256, 3), np.uint8)
    stripes[::2] = 255
    small = resize(stripes, (64, 32))[4:-4]
    assert int(small.max()) - int(small.min()) <= 4


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_other_arrays_are_refused(crop: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        resize(crop, (64, 32))
