"""Drawn people: looks that differ, sprites that hold a whole person, patterns that turn along."""

import math
from dataclasses import replace

import numpy as np
import pytest

from streamreid.simulation.canvas import Light
from streamreid.simulation.figure import GROUND_ROW, Sprite, draw_person
from streamreid.simulation.outfit import Outfit, look_alike, outfits
from streamreid.types import Float64Array

PEOPLE = outfits(6, seed=3)
LIGHT = Light()


def _mean_colour(sprite: Sprite) -> Float64Array:
    return np.asarray(sprite.rgb.reshape(-1, 3).sum(axis=0) / (sprite.alpha / 255.0).sum())


@pytest.mark.parametrize("yaw", [0.0, math.pi / 2, math.pi, -math.pi / 2, 0.7])
@pytest.mark.parametrize("phase", [0.0, 0.3, 0.75])
def test_a_sprite_holds_a_whole_standing_person(yaw: float, phase: float) -> None:
    for outfit in PEOPLE:
        sprite = draw_person(outfit, yaw=yaw, phase=phase, light=LIGHT)
        left, top, right, low = sprite.box_xyxy
        assert 0 < left < right < sprite.alpha.shape[1]
        assert 0 < top < low < sprite.alpha.shape[0]
        assert 1.6 < (low - top) / (right - left) < 4.5
        assert abs(low - GROUND_ROW) < 20
        assert (sprite.rgb.max(axis=2) <= sprite.alpha).mean() > 0.999


def test_the_same_moment_is_drawn_the_same_and_walking_moves_the_legs() -> None:
    first = draw_person(PEOPLE[0], yaw=0.0, phase=0.1, light=LIGHT)
    again = draw_person(PEOPLE[0], yaw=0.0, phase=0.1, light=LIGHT)
    later = draw_person(PEOPLE[0], yaw=0.0, phase=0.35, light=LIGHT)
    assert np.array_equal(first.rgb, again.rgb)
    legs = slice(GROUND_ROW - 120, GROUND_ROW)
    assert (first.alpha[legs] != later.alpha[legs]).mean() > 0.03


def test_people_differ_more_than_look_alikes() -> None:
    rng = np.random.default_rng(0)
    to_double, to_stranger = 0.0, 0.0
    for number, outfit in enumerate(PEOPLE):
        double = look_alike(outfit, rng)
        assert double != outfit
        own = _mean_colour(draw_person(outfit, yaw=0.0, phase=0.1, light=LIGHT))
        alike = _mean_colour(draw_person(double, yaw=0.0, phase=0.1, light=LIGHT))
        other = PEOPLE[(number + 1) % len(PEOPLE)]
        stranger = _mean_colour(draw_person(other, yaw=0.0, phase=0.1, light=LIGHT))
        to_double += float(np.abs(own - alike).sum())
        to_stranger += float(np.abs(own - stranger).sum())
    assert 2 * to_double < to_stranger


def test_a_backpack_is_seen_from_behind_and_a_print_from_the_front() -> None:
    base = PEOPLE[0]
    bag = _changed(base, bag="backpack", bag_colour=(0, 255, 0))
    behind = draw_person(bag, yaw=-math.pi / 2, phase=0.0, light=LIGHT)
    front = draw_person(bag, yaw=math.pi / 2, phase=0.0, light=LIGHT)
    assert _green(behind) > 1000 > _green(front)
    shirt = _changed(base, bag="none", pattern="print", top=(200, 0, 0), top_second=(0, 255, 0))
    assert _green(draw_person(shirt, yaw=math.pi / 2, phase=0.0, light=LIGHT)) > 500
    assert _green(draw_person(shirt, yaw=-math.pi / 2, phase=0.0, light=LIGHT)) == 0


def test_light_falls_from_its_side() -> None:
    plain = _changed(PEOPLE[0], pattern="plain", bag="none")
    sprites = [
        draw_person(plain, yaw=math.pi / 2, phase=0.0, light=Light(side=side))
        for side in (-1.0, 1.0)
    ]
    middle = sprites[0].alpha.shape[1] // 2
    left = [sprite.rgb[:, :middle].sum(dtype=np.int64) for sprite in sprites]
    assert left[0] > left[1]


def test_more_people_do_not_change_the_first_ones() -> None:
    assert outfits(9, seed=3)[:6] == PEOPLE
    assert outfits(6, seed=4) != PEOPLE


def _changed(outfit: Outfit, **values: object) -> Outfit:
    return replace(outfit, **values)  # type: ignore[arg-type]


def _green(sprite: Sprite) -> int:
    red, green, blue = (sprite.rgb[..., channel].astype(int) for channel in range(3))
    return int(((green > 90) & (red < 60) & (blue < 60)).sum())
