"""How good a network is on identities held out of training, and the calibration from them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from streamreid.association.calibration import fit_logistic
from streamreid.evaluation.ranking import evaluate_ranking
from streamreid.reid.backbone import MapNetwork
from streamreid.reid.matching import match_scores
from streamreid.reid.preprocess import to_unit_range
from streamreid.reid.qaconv import QAConv, fold
from streamreid.reid.weight_file import Calibration
from streamreid.training.images import ImageSet

_BATCH = 64


@dataclass(frozen=True, slots=True)
class ValidationFigures:
    """Plain ranking figures of one source's held-out identities, fractions."""

    rank1: float
    mean_ap: float
    queries: int
    gallery: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """All query-gallery pairs of the held-out identities of one source.

    Attributes:
        score: Logits, shape `[Q, G]`.
        same: True for one person, shape `[Q, G]`.
        usable: False for pairs of one person in one camera, shape `[Q, G]`.
        figures: Ranking figures of these scores.
    """

    score: Tensor
    same: Tensor
    usable: Tensor
    figures: ValidationFigures


def hold_out(images: ImageSet, every: int) -> tuple[ImageSet, ImageSet]:
    """Split identities: of each source every n-th one is held out for validation.

    Args:
        images: All training images.
        every: Distance of the held-out identities; 10 keeps 90 % for training.

    Returns:
        Training images and validation images, identities numbered anew in each.
    """
    held = torch.zeros(len(images), dtype=torch.bool)
    for source in torch.unique(images.source):
        identities = torch.unique(images.identity[images.source == source])
        held |= torch.isin(images.identity, identities[every // 2 :: every])
    return images.select(~held), images.select(held)


def query_gallery(images: ImageSet, source: int, *, per_camera: int = 4) -> tuple[Tensor, Tensor]:
    """The first image of each identity and camera becomes a query, the next few the gallery.

    Args:
        images: Validation images.
        source: Which data set.
        per_camera: Most gallery images of each identity and camera.

    Returns:
        Image indices of queries and of gallery.
    """
    query: list[int] = []
    gallery: list[int] = []
    seen: dict[tuple[int, int], int] = {}
    for index in torch.nonzero(images.source == source).flatten().tolist():
        key = (int(images.identity[index]), int(images.camera[index]))
        place = seen.get(key, 0)
        seen[key] = place + 1
        if place == 0:
            query.append(index)
        elif place <= per_camera:
            gallery.append(index)
    return torch.tensor(query), torch.tensor(gallery)


@torch.inference_mode()
def feature_maps(
    network: MapNetwork, images: ImageSet, index: Tensor, *, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Maps of some images, unchanged, shape `[len(index), C, h, w]`, float32."""
    network.eval()
    parts = []
    for part in torch.split(index, _BATCH):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            parts.append(network(to_unit_range(images.pixels[part])).float())
    return torch.cat(parts)


def score_source(
    network: MapNetwork,
    head: QAConv,
    images: ImageSet,
    source: int,
    *,
    dtype: torch.dtype = torch.float32,
) -> ScoredPairs:
    """Score the held-out identities of one source.

    Args:
        network: The network, put into evaluation mode.
        head: The matching layer.
        images: Validation images.
        source: Which data set.
        dtype: Inner type of the network's pass.
    """
    query, gallery = query_gallery(images, source)
    score = match_scores(
        feature_maps(network, images, query, dtype=dtype),
        feature_maps(network, images, gallery, dtype=dtype),
        fold(head),
    )
    identities = images.identity[query].numpy(), images.identity[gallery].numpy()
    cameras = images.camera[query].numpy(), images.camera[gallery].numpy()
    ranking = evaluate_ranking(-score.numpy(), *identities, *cameras)
    same = images.identity[query][:, None] == images.identity[gallery][None]
    same_camera = images.camera[query][:, None] == images.camera[gallery][None]
    return ScoredPairs(
        score=score,
        same=same,
        usable=~(same & same_camera),
        figures=ValidationFigures(
            ranking.rank(1), ranking.mean_ap, ranking.valid_queries, len(gallery)
        ),
    )


def fit_calibration(pairs: list[ScoredPairs], *, true_share: float, words: str) -> Calibration:
    """Fit `sigmoid(scale * score + offset)` on held-out pairs; every source counts the same.

    Args:
        pairs: Scored pairs of each source.
        true_share: Share of true pairs that the probabilities shall assume; the pairs are weighted
            to it.
        words: Where the pairs come from, stored with the result.

    Raises:
        ValueError: If a source has no true or no false pair.
    """
    scores, labels, weights = [], [], []
    for source in pairs:
        label = source.same[source.usable].double().numpy()
        true_pairs = label.sum()
        weight = np.where(
            label > 0,
            true_share / max(true_pairs, 1),
            (1 - true_share) / max(len(label) - true_pairs, 1),
        )
        scores.append(source.score[source.usable].double().numpy())
        labels.append(label)
        weights.append(weight * len(label))
    score = np.concatenate(scores)
    # Scores lie far from zero in a narrow band; Newton's method needs them standardised.
    centre, spread = float(score.mean()), max(float(score.std()), 1e-12)
    constant, slope = fit_logistic(
        ((score - centre) / spread)[:, None],
        np.concatenate(labels),
        weights=np.concatenate(weights),
    )
    scale = slope / spread
    offset = constant - scale * centre
    if scale <= 0:
        raise ValueError(f"true pairs do not score higher than false ones (slope {scale:.3g})")
    return Calibration(float(scale), float(offset), words)
