"""The baseline to compare with: the same network and data, a triplet loss on pooled vectors.

Source: Hermans et al., arXiv 1703.07737 (batch-hard triplets), and Ye et al., arXiv 2001.04193,
section 4 (weighted triplets without a margin). Batch-hard triplets with a margin of 0.3 were tried
first: within 150 steps all vectors had become one and the loss stood at the margin.
"""

import torch
from torch import Tensor
from torch.nn import functional

from streamreid.reid.backbone import MapNetwork
from streamreid.reid.preprocess import to_unit_range
from streamreid.training.images import ImageSet
from streamreid.training.trainer import Trainer

SCALE = 12.0
_BATCH = 64


class EmbeddingTrainer(Trainer):
    """Trains one vector per image instead of a map; everything else is as in `Trainer`."""

    def _loss(self, features: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        return weighted_triplet_loss(pool(features), identity, scale=SCALE)


def pool(features: Tensor) -> Tensor:
    """Mean over all locations, unit norm: `[N, C, h, w]` to `[N, C]`."""
    return functional.normalize(features.mean(dim=(2, 3)), dim=1)


def weighted_triplet_loss(
    vectors: Tensor, identity: Tensor, *, scale: float
) -> tuple[Tensor, Tensor]:
    """Far true partners against near false ones, by Euclidean distance, the hard ones first.

    Args:
        vectors: Unit vectors, shape `[N, C]`.
        identity: Labels, shape `[N]`; every label occurs at least twice.
        scale: Factor on the distances; the larger, the more the hardest partners alone count.

    Returns:
        Mean loss, and the share of images whose nearest partner is a true one.
    """
    same = identity[:, None] == identity[None, :]
    itself = torch.eye(len(identity), dtype=torch.bool)
    # Identical images would have an infinite gradient at distance zero.
    distance = (2.0 - 2.0 * (vectors @ vectors.t())).clamp_min(1e-6).sqrt() * scale
    far = distance.masked_fill(~same | itself, -torch.inf).softmax(dim=1)
    near = (-distance).masked_fill(same, -torch.inf).softmax(dim=1)
    gap = ((far - near) * distance).sum(dim=1)
    partner = distance.detach().masked_fill(itself, torch.inf).argmin(dim=1)
    return functional.softplus(gap).mean(), (identity[partner] == identity).float().mean()


@torch.inference_mode()
def embed(network: MapNetwork, images: Tensor) -> Tensor:
    """Unit vectors of a batch, with `network.flip` the mean of both mirror images' vectors.

    Args:
        network: A trained network, in evaluation mode.
        images: RGB, shape `[N, 3, H, W]`, values in [0, 1].

    Returns:
        Shape `[N, C]`, float32.
    """
    vectors = pool(network.neck(network.trunk(images)).float())
    if network.flip:
        vectors = vectors + pool(network.neck(network.trunk(images.flip(3))).float())
    return functional.normalize(vectors, dim=1)


def pooled_vectors(network: MapNetwork, images: ImageSet) -> Tensor:
    """Unit vectors of all images, shape `[N, C]`."""
    network.eval()
    parts = torch.split(images.pixels, _BATCH)
    return torch.cat([embed(network, to_unit_range(part)) for part in parts])
