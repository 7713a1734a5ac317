"""The baseline to compare with: the same network and data, a triplet loss on pooled vectors.

Source: Hermans et al., arXiv 1703.07737 (batch-hard triplet loss with a margin).
"""

import torch
from torch import Tensor
from torch.nn import functional

from streamreid.reid.backbone import MapNetwork
from streamreid.reid.preprocess import to_unit_range
from streamreid.training.images import ImageSet
from streamreid.training.trainer import Trainer

MARGIN = 0.3
_BATCH = 64


class EmbeddingTrainer(Trainer):
    """Trains one vector per image instead of a map; everything else is as in `Trainer`."""

    def _loss(self, features: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        return batch_hard_loss(pool(features), identity, margin=MARGIN)


def pool(features: Tensor) -> Tensor:
    """Mean over all locations, unit norm: `[N, C, h, w]` to `[N, C]`."""
    return functional.normalize(features.mean(dim=(2, 3)), dim=1)


def batch_hard_loss(vectors: Tensor, identity: Tensor, *, margin: float) -> tuple[Tensor, Tensor]:
    """Furthest true partner against nearest false one, by Euclidean distance.

    Args:
        vectors: Unit vectors, shape `[N, C]`.
        identity: Labels, shape `[N]`; every label occurs at least twice.
        margin: Wanted gap.

    Returns:
        Mean loss, and the share of images whose nearest partner is a true one.
    """
    same = identity[:, None] == identity[None, :]
    itself = torch.eye(len(identity), dtype=torch.bool)
    # Identical images would have an infinite gradient at distance zero.
    distance = (2.0 - 2.0 * (vectors @ vectors.t())).clamp_min(1e-6).sqrt()
    furthest = distance.masked_fill(~same | itself, -torch.inf).amax(dim=1)
    nearest = distance.masked_fill(same, torch.inf).amin(dim=1)
    loss = (furthest - nearest + margin).clamp_min(0.0).mean()
    partner = distance.detach().masked_fill(itself, torch.inf).argmin(dim=1)
    return loss, (identity[partner] == identity).float().mean()


@torch.inference_mode()
def pooled_vectors(network: MapNetwork, images: ImageSet) -> Tensor:
    """Unit vectors of all images, unchanged, shape `[N, C]`."""
    network.eval()
    return torch.cat(
        [
            pool(network.neck(network.trunk(to_unit_range(part))).float())
            for part in torch.split(images.pixels, _BATCH)
        ]
    )
