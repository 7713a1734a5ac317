"""Augmentation: repeatable, in range, switched off by zeros, and strong enough to matter."""

from dataclasses import replace

import pytest
import torch

from streamreid.reid.preprocess import to_unit_range
from streamreid.training.augment import AugmentConfig, augment

OFF = AugmentConfig(
    flip=0, rotate_deg=0, scale=0, shift=0, colour=1, hue=0, grey=0, blur=0, erase=0
)


def make_batch(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 64, 32, 3), dtype=torch.uint8, generator=generator)


def run(config: AugmentConfig, seed: int = 3, count: int = 4) -> torch.Tensor:
    return augment(make_batch(count), config, torch.Generator().manual_seed(seed))


def test_the_same_generator_state_gives_the_same_batch() -> None:
    assert torch.equal(run(AugmentConfig()), run(AugmentConfig()))
    assert not torch.equal(run(AugmentConfig()), run(AugmentConfig(), seed=4))


def test_values_stay_in_unit_range_and_shape() -> None:
    out = run(AugmentConfig(colour=3.0, hue=0.5))
    assert out.shape == (4, 3, 64, 32)
    assert float(out.min()) >= 0.0
    assert float(out.max()) <= 1.0


def test_everything_off_changes_nothing() -> None:
    torch.testing.assert_close(run(OFF), to_unit_range(make_batch()), rtol=0, atol=1e-6)


def test_a_certain_flip_mirrors() -> None:
    flipped = run(replace(OFF, flip=1.0))
    torch.testing.assert_close(flipped, to_unit_range(make_batch()).flip(3), rtol=0, atol=1e-6)


def test_a_certain_grey_removes_all_colour() -> None:
    grey = run(replace(OFF, grey=1.0))
    torch.testing.assert_close(grey[:, 0], grey[:, 1], rtol=0, atol=1e-5)


def test_hue_keeps_grey_pixels_grey() -> None:
    pixels = torch.full((2, 64, 32, 3), 90, dtype=torch.uint8)
    out = augment(pixels, replace(OFF, hue=0.5), torch.Generator().manual_seed(1))
    torch.testing.assert_close(out, torch.full_like(out, 90 / 255))


def test_brightness_alone_scales_all_channels_alike() -> None:
    pixels = torch.full((8, 64, 32, 3), 60, dtype=torch.uint8)
    out = augment(pixels, replace(OFF, colour=2.0), torch.Generator().manual_seed(1))
    level = out[:, 0, 0, 0] / (60 / 255)
    assert float(level.min()) >= 0.499
    assert float(level.max()) <= 2.001
    assert float(level.std()) > 0.1


@pytest.mark.parametrize("kind", ["colour", "white square"])
def test_a_certain_erase_hides_one_uniform_rectangle(kind: str) -> None:
    pixels = torch.zeros((6, 64, 32, 3), dtype=torch.uint8)
    config = replace(OFF, erase=1.0, erase_with=kind)  # type: ignore[arg-type]
    out = augment(pixels, config, torch.Generator().manual_seed(2))
    hidden = out.sum(dim=1) > 0
    assert bool(hidden.flatten(1).any(dim=1).all())
    assert float(hidden.float().mean()) < 0.5
    if kind == "white square":
        assert set(out.unique().tolist()) == {0.0, 1.0}
        for mask in hidden:
            rows, columns = mask.any(dim=1).sum(), mask.any(dim=0).sum()
            assert rows == columns


def test_blur_lowers_the_contrast_of_noise() -> None:
    sharp = to_unit_range(make_batch()).std()
    assert float(run(replace(OFF, blur=1.0, blur_factor=4.0)).std()) < 0.8 * float(sharp)


@pytest.mark.parametrize(("border", "corner"), [("edge", 1.0), ("black", 0.0)])
def test_what_a_shift_uncovers(border: str, corner: float) -> None:
    pixels = torch.full((1, 64, 32, 3), 255, dtype=torch.uint8)
    config = replace(OFF, shift=0.4, border=border)  # type: ignore[arg-type]
    out = augment(pixels, config, torch.Generator().manual_seed(5))
    corners = torch.stack([out[0, 0, y, x] for y in (0, -1) for x in (0, -1)])
    assert float(corners.min()) == pytest.approx(corner)
