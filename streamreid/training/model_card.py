"""The Markdown page beside a weights file, filled from its header and from measured figures."""

from collections.abc import Mapping

from streamreid.reid.weight_file import Card
from streamreid.training.validation import ValidationFigures

_TEMPLATE = """# {name}

Feature maps for matching people across cameras with QAConv.

| | |
| --- | --- |
| architecture | {architecture}, cut at stride 16, 3x3 neck to {channels} channels |
| matching layer | QAConv version {version} |
| input | {height} x {width} pixels (H x W); {normalisation} |
| output | {channels} x {map_height} x {map_width}, unit norm at each location{flip} |
| calibration | probability = sigmoid({scale:.4f} * score + {offset:.4f}), fitted on {fitted_on} |
| sha256 | `{digest}` |
| licence | {licence} |

## Seen in training
{training_data}

## Recipe
{notes}

## Figures on held-out training identities
Single query, no re-ranking, no time. Images of the same identity in the same camera are removed.
The identities were kept out of training; some choices were made on them, so test figures are lower.
Galleries are small (hundreds of images), so these figures are higher than on a benchmark.

| source | queries | gallery | Rank-1 % | mAP % |
| --- | --- | --- | --- | --- |
{figures}

## Limits
Trained and measured on nothing but the data above. Not tested for fairness between groups of
people, nor for night, infrared, top views or change of clothes. A match is a hint, never a proof of
identity; have a person check every match that matters.
"""


def model_card(card: Card, digest: str, figures: Mapping[str, ValidationFigures]) -> str:
    """Write the page.

    Args:
        card: Header of the weights file.
        digest: sha256 of the file.
        figures: Held-out figures by source name.

    Returns:
        Markdown text.
    """
    rows = [
        f"| {name} | {f.queries} | {f.gallery} | {100 * f.rank1:.1f} | {100 * f.mean_ap:.1f} |"
        for name, f in figures.items()
    ]
    return _TEMPLATE.format(
        name=card.name,
        architecture=card.architecture,
        channels=card.map_channels,
        version=card.version,
        height=card.input_size[0],
        width=card.input_size[1],
        normalisation=card.normalisation,
        map_height=card.map_size[0],
        map_width=card.map_size[1],
        flip="; mean of the image's and its mirror image's" if card.flip else "",
        scale=card.calibration.scale,
        offset=card.calibration.offset,
        fitted_on=card.calibration.fitted_on,
        digest=digest,
        licence=card.licence,
        training_data="\n".join(f"- {item}" for item in card.training_data),
        notes=card.notes,
        figures="\n".join(rows),
    )
