"""The surfaces of a drawn person, fixed to the body: cloth with patterns, face and hair, legs."""

import numpy as np

from streamreid.simulation.canvas import Paint, plain, shoe_end
from streamreid.simulation.outfit import Outfit
from streamreid.types import Float32Array


def leg_paints(outfit: Outfit) -> tuple[Paint, Paint]:
    """What covers thighs and shins."""
    cloth = plain(outfit.bottom_colour)
    skin = plain(outfit.skin)
    if outfit.bottom == "trousers":
        return cloth, cloth
    if outfit.bottom == "shorts":
        return cloth, shoe_end(skin, (235, 235, 235), 0.18)
    return skin, skin


def face_paint(outfit: Outfit) -> Paint:
    """Skin in front, hair (or cap, hood) at the back and on top; eyes as a dark band."""
    skin = np.array(outfit.skin, np.float32)
    cover = np.array(outfit.hair_colour, np.float32)
    line = {"short": 0.10, "long": 0.14, "bun": 0.10, "bald": -1.0, "cap": 0.22, "hood": 0.05}

    def paint(azimuth: Float32Array, t: Float32Array) -> Float32Array:
        turned = np.abs(np.angle(np.exp(1j * azimuth)))
        hairy = (t < line[outfit.hair]) | (turned > 1.25)
        if outfit.hair == "bald":
            hairy = np.zeros(len(t), bool)
        eyes = (np.abs(t - 0.38) < 0.07) & (np.abs(turned - 0.42) < 0.16)
        colour = np.where(hairy[:, None], cover, skin)
        return np.where(eyes[:, None], 50.0, colour).astype(np.float32)

    return paint


def cloth_paint(outfit: Outfit) -> Paint:
    """The upper garment's pattern, fixed to the body, so that it turns with the person."""
    first, second = np.array(outfit.top, np.float32), np.array(outfit.top_second, np.float32)

    def paint(azimuth: Float32Array, v: Float32Array) -> Float32Array:
        mask = _pattern_mask(outfit.pattern, azimuth, v)
        colour = np.where(mask[:, None], second, first)
        # Folds: what tells cloth from plastic.
        folds = 1.0 + 0.06 * np.sin(9.0 * azimuth + 40.0 * v) * np.sin(55.0 * v)
        return np.asarray(colour * folds[:, None], np.float32)

    return paint


def _pattern_mask(
    pattern: str, azimuth: Float32Array, v: Float32Array
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    around = azimuth * 2.0
    if pattern == "bands":
        mask = np.mod(v, 0.07) < 0.032
    elif pattern == "pinstripes":
        mask = np.mod(around, 0.9) < 0.25
    elif pattern == "checks":
        mask = (np.mod(v, 0.09) < 0.045) ^ (np.mod(around, 1.2) < 0.6)
    elif pattern == "dots":
        row = np.floor(v / 0.055)
        x = np.mod(around + 0.5 * row, 1.0) - 0.5
        y = np.mod(v, 0.055) / 0.055 - 0.5
        mask = x**2 + y**2 < 0.09
    elif pattern == "block":
        mask = v > 0.68
    elif pattern == "print":
        front = np.abs(np.angle(np.exp(1j * azimuth))) < 0.75
        mask = front & (np.abs(v - 0.70) < 0.055)
    else:
        mask = np.zeros(len(v), bool)
    return np.asarray(mask, np.bool_)


def darker(paint: Paint, share: float) -> Paint:
    """The same surface with `share` of its light."""
    return lambda azimuth, height: np.asarray(paint(azimuth, height) * share, np.float32)
