"""Draws why two crops match: correspondences as lines, contributions as colour.

The command `explain`, the report and the dashboard all use `draw_match`. It takes plain arrays and
needs Pillow only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from streamreid.types import Float32Array, Int64Array, UInt8Array

if TYPE_CHECKING:
    from streamreid.reid.matching import Correspondences

_CROP_HEIGHT = 448
_CROP_WIDTH = 176
_GAP = 12
_LINE_GAP = 120
_CAPTION_HEIGHT = 26
_BACKGROUND = (250, 250, 248)
_INK = (40, 40, 44)
_QUIET = (120, 120, 126)
# Orange adds, blue takes away: told apart by every kind of colour vision.
_RAISES = np.array([230, 110, 20], np.float32)
_LOWERS = np.array([30, 100, 200], np.float32)
_OVERLAY = 0.85


@dataclass(frozen=True, slots=True, eq=False)
class MatchEvidence:
    """What `draw_match` needs to know about a pair, as plain arrays.

    Attributes:
        query_location: Row-major location in the query of each pair of places, `(K,)`, int64.
        gallery_location: The same in the gallery image, `(K,)`, int64.
        contribution: Part of the score due to each pair of places, `(K,)`, largest first.
        query_contribution: Part of the score due to each location of the query, `(n,)`.
        gallery_contribution: The same for the gallery image, `(n,)`.
        height: Rows of the feature maps.
        width: Columns of the feature maps.
        score: Logit of the pair.
        probability: Calibrated probability that both are one person, in [0, 1].
    """

    query_location: Int64Array
    gallery_location: Int64Array
    contribution: Float32Array
    query_contribution: Float32Array
    gallery_contribution: Float32Array
    height: int
    width: int
    score: float
    probability: float

    @classmethod
    def of(cls, found: "Correspondences", probability: float) -> "MatchEvidence":
        """Take over the result of `streamreid.reid.matching.correspondences`."""
        return cls(
            query_location=found.query_location.cpu().numpy(),
            gallery_location=found.gallery_location.cpu().numpy(),
            contribution=found.contribution.cpu().numpy(),
            query_contribution=found.query_contribution.cpu().numpy(),
            gallery_contribution=found.gallery_contribution.cpu().numpy(),
            height=found.height,
            width=found.width,
            score=found.score,
            probability=probability,
        )


def draw_match(
    query: UInt8Array,
    gallery: UInt8Array,
    evidence: MatchEvidence,
    *,
    captions: tuple[str, str] = ("A", "B"),
) -> UInt8Array:
    """Draw both crops with their strongest correspondences, and again with contributions.

    Args:
        query: RGB crop, shape `(h, w, 3)`, uint8, any size.
        gallery: RGB crop, shape `(h, w, 3)`, uint8, any size.
        evidence: Correspondences, contributions, score and probability.
        captions: Written above the crops.

    Returns:
        RGB picture, shape `(H, W, 3)`, uint8.
    """
    left, right = (_scaled(crop) for crop in (query, gallery))
    panels = [
        left,
        right,
        _overlaid(left, _compared(evidence.query_contribution, evidence)),
        _overlaid(right, _compared(evidence.gallery_contribution, evidence)),
    ]
    columns = [_GAP, _GAP + _CROP_WIDTH + _LINE_GAP]
    columns += [columns[1] + _CROP_WIDTH + 3 * _GAP]
    columns += [columns[2] + _CROP_WIDTH + _GAP]
    top = 2 * _CAPTION_HEIGHT
    size = (columns[3] + _CROP_WIDTH + _GAP, top + _CROP_HEIGHT + 2 * _CAPTION_HEIGHT)
    canvas = Image.new("RGB", size, _BACKGROUND)
    for column, panel in zip(columns, panels, strict=True):
        canvas.paste(panel, (column, top))
    pen = ImageDraw.Draw(canvas)
    _write_texts(pen, columns, evidence, captions)
    _draw_lines(canvas, (columns[0], top), (columns[1], top), evidence)
    return np.asarray(canvas)


def _scaled(crop: UInt8Array) -> Image.Image:
    return _resized(crop, _CROP_WIDTH, _CROP_HEIGHT)


def _resized(crop: UInt8Array, width: int, height: int) -> Image.Image:
    return Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC)


def _compared(contribution: Float32Array, evidence: MatchEvidence) -> Float32Array:
    """Contributions against the average place of both images, as a map with values in [-1, 1]."""
    both = np.concatenate((evidence.query_contribution, evidence.gallery_contribution))
    largest = max(float(np.abs(both - both.mean()).max()), 1e-12)
    values: Float32Array = (contribution - both.mean()) / largest
    return values.reshape(evidence.height, evidence.width)


def _overlaid(crop: Image.Image, contribution: npt.NDArray[np.floating]) -> Image.Image:
    """Blend orange (above zero) and blue (below) over a grey crop; values in [-1, 1]."""
    values = np.asarray(
        Image.fromarray(contribution.astype(np.float32)).resize(crop.size, Image.Resampling.BICUBIC)
    ).clip(-1.0, 1.0)
    grey = np.asarray(crop.convert("L"), np.float32)[..., None]
    strength = np.abs(values)[..., None] * _OVERLAY
    colour = np.where(values[..., None] >= 0, _RAISES, _LOWERS)
    return Image.fromarray((grey * (1 - strength) + colour * strength).astype(np.uint8))


def _draw_lines(
    canvas: Image.Image, left: tuple[int, int], right: tuple[int, int], evidence: MatchEvidence
) -> None:
    """Connect matching places, the strongest last and thickest."""
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    largest = max(float(np.abs(evidence.contribution).max(initial=0.0)), 1e-12)
    order = range(len(evidence.contribution) - 1, -1, -1)
    for index in order:
        share = float(evidence.contribution[index]) / largest
        colour = _RAISES if share >= 0 else _LOWERS
        ends = [
            _centre(left, int(evidence.query_location[index]), evidence),
            _centre(right, int(evidence.gallery_location[index]), evidence),
        ]
        rgba = (int(colour[0]), int(colour[1]), int(colour[2]), 90 + int(165 * abs(share)))
        pen.line(ends, fill=rgba, width=1 + round(2 * abs(share)))
        for x, y in ends:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=rgba)
    canvas.paste(layer, (0, 0), layer)


def _centre(corner: tuple[int, int], location: int, evidence: MatchEvidence) -> tuple[float, float]:
    row, column = divmod(location, evidence.width)
    return (
        corner[0] + (column + 0.5) * _CROP_WIDTH / evidence.width,
        corner[1] + (row + 0.5) * _CROP_HEIGHT / evidence.height,
    )


def _write_texts(
    pen: ImageDraw.ImageDraw,
    columns: Sequence[int],
    evidence: MatchEvidence,
    captions: tuple[str, str],
) -> None:
    title, body = ImageFont.load_default(16), ImageFont.load_default(13)
    headline = f"probability {evidence.probability:.3f}, score {evidence.score:+.2f}"
    pen.text((columns[0], 6), headline, font=title, fill=_INK)
    for column, caption in zip(columns, (*captions, *captions), strict=True):
        pen.text((column, _CAPTION_HEIGHT + 6), _short(caption), font=body, fill=_QUIET)
    bottom = 2 * _CAPTION_HEIGHT + _CROP_HEIGHT + 6
    lines = f"{len(evidence.contribution)} strongest pairs of places"
    pen.text((columns[0], bottom), lines, font=body, fill=_QUIET)
    legend = "orange: adds more than the average place; blue: less"
    pen.text((columns[2], bottom), legend, font=body, fill=_QUIET)


def _short(text: str, limit: int = 24) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
