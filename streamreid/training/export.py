"""From a training run to a weights file and its model card."""

from dataclasses import dataclass
from pathlib import Path

import torch

from streamreid.reid.backbone import MapNetwork
from streamreid.reid.qaconv import QAConv
from streamreid.reid.weight_file import Calibration, Card
from streamreid.reid.weights import NORMALISATION, save_model
from streamreid.training.images import ImageSet
from streamreid.training.model_card import model_card
from streamreid.training.validation import (
    ValidationFigures,
    fit_calibration,
    query_gallery,
    score_source,
)

# One true pair in fifty: what a query meets among the few dozen people of a site's last hours.
TRUE_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class ExportInfo:
    """What the header says besides the figures.

    Attributes:
        name: Name of the weights.
        architecture: See `streamreid.reid.backbone.ARCHITECTURES`.
        source_names: Name of each training source, in the order of their numbers.
        training_data: Everything that the weights have seen, in words.
        licence: Terms of use.
        notes: Recipe and steps, in words.
    """

    name: str
    architecture: str
    source_names: tuple[str, ...]
    training_data: tuple[str, ...]
    licence: str
    notes: str


def export(
    path: Path,
    info: ExportInfo,
    network: MapNetwork,
    head: QAConv,
    validation: ImageSet,
    *,
    calibrate_on: tuple[int, ...],
) -> tuple[Calibration, dict[str, ValidationFigures]]:
    """Fit the calibration on held-out identities; write the file and its model card beside it.

    Args:
        path: Ends in `.safetensors`.
        info: Names and words for the header.
        network: The averaged network.
        head: Its matching layer, version 2.1.
        validation: Held-out images; sources that were not trained on may be among them.
        calibrate_on: Sources whose pairs the calibration uses: those that were trained on.

    Returns:
        The calibration, and the figures of every source by name.
    """
    # Stored weights are rounded to float16, so everything below is measured on rounded ones.
    rounded = _rounded(network)
    pairs = {
        source: score_source(rounded, head, validation, source)
        for source in range(len(info.source_names))
        if len(query_gallery(validation, source)[0]) > 0
    }
    used = " and ".join(info.source_names[source] for source in calibrate_on)
    calibration = fit_calibration(
        [pairs[source] for source in calibrate_on],
        true_share=TRUE_SHARE,
        words=f"held-out training identities of {used}, {TRUE_SHARE:.0%} of the pairs true",
    )
    card = Card(
        name=info.name,
        architecture=info.architecture,
        version="2.1",
        neck_channels=network.channels,
        map_channels=network.channels,
        input_size=(int(validation.pixels.shape[1]), int(validation.pixels.shape[2])),
        map_size=(head.height, head.width),
        normalisation=NORMALISATION,
        training_data=info.training_data,
        licence=info.licence,
        calibration=calibration,
        notes=info.notes,
        flip=network.flip,
    )
    digest = save_model(path, card, rounded, head)
    figures = {info.source_names[source]: scored.figures for source, scored in pairs.items()}
    path.with_suffix(".md").write_text(model_card(card, digest, figures), encoding="utf-8")
    return calibration, figures


def _rounded(network: MapNetwork) -> MapNetwork:
    state = {
        name: value.half().to(value.dtype) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    with torch.no_grad():
        for name, target in network.state_dict().items():
            target.copy_(state[name])
    return network.eval()
