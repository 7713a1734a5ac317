"""What a drawn person wears: clothes, hair and bags that a person and a network can tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

_T = TypeVar("_T")

Rgb = tuple[int, int, int]
Pattern = Literal["plain", "bands", "pinstripes", "checks", "dots", "block", "print"]
Hair = Literal["short", "long", "bun", "bald", "cap", "hood"]
Bottom = Literal["trousers", "shorts", "skirt"]
Bag = Literal["none", "backpack", "shoulder", "hand"]

SKINS: tuple[Rgb, ...] = (
    (241, 205, 178),
    (224, 177, 140),
    (198, 144, 105),
    (150, 100, 70),
    (104, 68, 48),
)
HAIRS: tuple[Rgb, ...] = (
    (30, 24, 22),
    (78, 52, 34),
    (150, 108, 62),
    (206, 176, 120),
    (120, 118, 116),
)
CLOTHES: tuple[Rgb, ...] = (
    (192, 40, 44),
    (226, 116, 34),
    (232, 190, 52),
    (52, 128, 68),
    (36, 120, 150),
    (44, 68, 150),
    (108, 60, 140),
    (206, 96, 140),
    (236, 232, 222),
    (150, 150, 150),
    (40, 40, 46),
    (116, 78, 52),
    (146, 190, 206),
    (120, 128, 70),
)
LEGS: tuple[Rgb, ...] = (
    (46, 60, 98),
    (38, 38, 42),
    (150, 132, 100),
    (96, 98, 102),
    (86, 66, 50),
    (222, 214, 200),
    (70, 84, 62),
    (120, 40, 52),
)
SHOES: tuple[Rgb, ...] = ((28, 26, 26), (236, 236, 232), (120, 76, 46), (170, 40, 44))


@dataclass(frozen=True, slots=True)
class Outfit:
    """The look of one drawn person; colours are RGB, 0 to 255, under white light.

    Attributes:
        stature: Body height relative to the usual one.
        build: Body width relative to the usual one.
        skin: Colour of face, hands, bare arms and legs.
        hair: Shape of the hair or what covers it.
        hair_colour: Colour of hair, cap or hood.
        top: Main colour of the upper body.
        top_second: Second colour of the pattern.
        pattern: Pattern of the upper body.
        long_sleeves: Whether the arms are covered.
        coat: How far the upper garment hangs below the hips, as a share of body height.
        bottom: Kind of garment on the legs.
        bottom_colour: Its colour.
        shoes: Colour of the shoes.
        bag: What is carried.
        bag_colour: Its colour.
    """

    stature: float
    build: float
    skin: Rgb
    hair: Hair
    hair_colour: Rgb
    top: Rgb
    top_second: Rgb
    pattern: Pattern
    long_sleeves: bool
    coat: float
    bottom: Bottom
    bottom_colour: Rgb
    shoes: Rgb
    bag: Bag
    bag_colour: Rgb


def random_outfit(rng: np.random.Generator) -> Outfit:
    """Dress a person at random."""
    top, second = (CLOTHES[int(i)] for i in rng.choice(len(CLOTHES), 2, replace=False))
    hair: Hair = _pick(rng, ("short", "short", "long", "long", "bun", "bald", "cap", "hood"))
    return Outfit(
        stature=float(rng.uniform(0.9, 1.06)),
        build=float(rng.uniform(0.88, 1.22)),
        skin=_pick(rng, SKINS),
        hair=hair,
        hair_colour=_pick(rng, CLOTHES)
        if hair == "cap"
        else top
        if hair == "hood"
        else _pick(rng, HAIRS),
        top=top,
        top_second=second,
        pattern=_pick(
            rng, ("plain", "plain", "bands", "pinstripes", "checks", "dots", "block", "print")
        ),
        long_sleeves=bool(rng.random() < 0.6),
        coat=float(_pick(rng, (0.0, 0.0, 0.0, 0.12, 0.2))),
        bottom=_pick(rng, ("trousers", "trousers", "trousers", "shorts", "skirt")),
        bottom_colour=_pick(rng, LEGS),
        shoes=_pick(rng, SHOES),
        bag=_pick(rng, ("none", "none", "backpack", "shoulder", "hand")),
        bag_colour=_pick(rng, CLOTHES),
    )


def outfits(appearances: int, *, seed: int) -> tuple[Outfit, ...]:
    """Dress `appearances` different people; the first ones stay when more are asked for."""
    return tuple(
        random_outfit(np.random.default_rng((seed, number))) for number in range(appearances)
    )


def look_alike(outfit: Outfit, rng: np.random.Generator) -> Outfit:
    """Almost the same person: same clothes, other bag, shoes and build."""
    bag: Bag = "backpack" if outfit.bag == "none" else "none"
    shoes = tuple(colour for colour in SHOES if colour != outfit.shoes)
    build = outfit.build * (1.1 if outfit.build < 1.0 else 0.9)
    colours = tuple(c for c in CLOTHES if c not in (outfit.top, outfit.top_second))
    return replace(
        outfit, bag=bag, bag_colour=_pick(rng, colours), shoes=_pick(rng, shoes), build=build
    )


def _pick(rng: np.random.Generator, choices: Sequence[_T]) -> _T:
    return choices[int(rng.integers(len(choices)))]
