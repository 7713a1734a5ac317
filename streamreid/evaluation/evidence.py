"""Why two crops match, for whoever draws or prints it: the evidence of pairs under a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streamreid.evaluation.draw import MatchEvidence
from streamreid.reid.matching import correspondences
from streamreid.reid.qaconv import fold
from streamreid.types import UInt8Array

if TYPE_CHECKING:
    from streamreid.reid.matching import Correspondences
    from streamreid.reid.weights import ReidModel


@dataclass(frozen=True, slots=True, eq=False)
class PairEvidence:
    """One pair of crops.

    Attributes:
        found: Which places match and how much each adds.
        probability: Calibrated probability that both are one person.
    """

    found: "Correspondences"
    probability: float

    @property
    def drawable(self) -> MatchEvidence:
        """What `draw_match` takes."""
        return MatchEvidence.of(self.found, self.probability)


def explain_pairs(
    model: "ReidModel", pairs: Sequence[tuple[UInt8Array, UInt8Array]], *, top: int = 20
) -> list[PairEvidence]:
    """Compare the two crops of each pair.

    Args:
        model: Weights.
        pairs: RGB crops, `(h, w, 3)`, uint8, any size.
        top: Pairs of places to keep.
    """
    maps = model.maps([crop for pair in pairs for crop in pair])
    head = fold(model.head)
    explained = []
    for number in range(len(pairs)):
        found = correspondences(maps[2 * number], maps[2 * number + 1], head, top=top)
        probability = float(model.calibration.probability(torch.tensor(found.score)))
        explained.append(PairEvidence(found, probability))
    return explained
