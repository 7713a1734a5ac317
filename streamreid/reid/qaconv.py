"""The QAConv matching layer, its folded form for inference, and nothing else.

Source: Liao and Shao, "Interpretable and Generalizable Person Re-Identification with
Query-Adaptive Convolution and Temporal Lifting", ECCV 2020 (arXiv 1904.10424); Liao and Shao,
"Graph Sampling Based Deep Metric Learning", CVPR 2022 (arXiv 2104.01546). Behaviour, not code,
follows ShengcaiLiao/QAConv at v1.0-eccv (2e4d56e1), v1.2 (c5abf0c0) and v2.1 (9bdea330).

Every location of one feature map is compared with every location of the other. Each location keeps
its best partner, and a small head turns the 2n maxima into one logit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from streamreid.errors import WeightsError

Version = Literal["2.1", "1.2", "1.0"]
"""Published versions of the layer. 1.2 and 1.0 share one head; 2.0 uses the same head as 1.2."""


def pooled_maxima(query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
    """Best correlation of each location with any location of the other map, the readable way.

    This materialises the full correlation `[Q, G, n, n]`; `streamreid.reid.matching` does not.

    Args:
        query: Feature maps with unit norm over channels, shape `[Q, C, h, w]`.
        gallery: Feature maps with unit norm over channels, shape `[G, C, h, w]`.

    Returns:
        Two tensors `[Q, G, n]` with `n = h * w`, row-major: the maximum for each query location
        (over gallery locations) and for each gallery location (over query locations).
    """
    correlation = torch.einsum("qcs,gcr->qgsr", query.flatten(2), gallery.flatten(2))
    return correlation.max(dim=3).values, correlation.max(dim=2).values


class QAConv(nn.Module):
    """Query-adaptive convolution: a logit for every pair of feature maps.

    Version "2.1" passes both directions through one shared linear layer of n weights, so the score
    is symmetric and the bias enters twice. Versions "1.2" and "1.0" use one linear layer of 2n
    weights on [gallery locations; query locations] and are not symmetric.

    Args:
        channels: Channels of the feature maps; only checked, the layer has no weight per channel.
        height: Rows of the feature maps.
        width: Columns of the feature maps.
        version: One of "2.1", "1.2", "1.0".

    Raises:
        ValueError: If the version is unknown or a size is not positive.
    """

    def __init__(self, channels: int, height: int, width: int, version: str = "2.1") -> None:
        super().__init__()
        if version not in get_args(Version):
            raise ValueError(f"QAConv version {version!r}; use one of {get_args(Version)}")
        if min(channels, height, width) < 1:
            raise ValueError(f"sizes must be positive, got {channels} x {height} x {width}")
        self.channels = channels
        self.height = height
        self.width = width
        self.version = cast(Version, version)
        locations = height * width
        self.bn = nn.BatchNorm1d(1)
        self.fc = nn.Linear(locations if self.symmetric else 2 * locations, 1)
        self.logit_bn = nn.BatchNorm1d(1)
        if self.symmetric:
            nn.init.constant_(self.fc.weight, 1.0 / locations)

    @property
    def symmetric(self) -> bool:
        """Whether exchanging query and gallery leaves the score as it is."""
        return self.version == "2.1"

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Score every query against every gallery item.

        Args:
            query: Feature maps with unit norm over channels, shape `[Q, C, h, w]`.
            gallery: Feature maps with unit norm over channels, shape `[G, C, h, w]`.

        Returns:
            Logits, shape `[Q, G]`, larger is more similar; for "1.0" before its sigmoid.

        Raises:
            ValueError: If a map has other channels, height or width than the layer.
        """
        self._check(query, "query")
        self._check(gallery, "gallery")
        return self.head(*pooled_maxima(query, gallery))

    def head(self, query_maxima: Tensor, gallery_maxima: Tensor) -> Tensor:
        """Turn pooled maxima into logits.

        Args:
            query_maxima: Maximum for each query location, shape `[Q, G, n]`.
            gallery_maxima: Maximum for each gallery location, shape `[Q, G, n]`.

        Returns:
            Logits, shape `[Q, G]`.
        """
        queries, items, locations = query_maxima.shape
        both = torch.stack((gallery_maxima, query_maxima), dim=2)  # [Q, G, 2, n]
        # One long row, not a column: the framework's batch statistics of a column are less exact.
        both = self.bn(both.reshape(1, 1, -1))
        if self.symmetric:
            logits = self.fc(both.view(-1, 2, locations)).sum(dim=1)
        else:
            logits = self.fc(both.view(-1, 2 * locations))
        return cast(Tensor, self.logit_bn(logits.view(1, 1, -1))).view(queries, items)

    def load_reference_state(self, mapping: Mapping[str, object]) -> None:
        """Take over the parameters of the published layer.

        Args:
            mapping: Tensors (or arrays) under the published names: `bn.weight`, `bn.bias`,
                `bn.running_mean`, `bn.running_var`, `fc.weight`, `fc.bias` and the same four under
                `logit_bn`; `num_batches_tracked` may be missing. Other keys are refused.

        Raises:
            WeightsError: If a tensor is missing, unknown, not finite or of another shape.
        """
        own = self.state_dict()
        unknown = sorted(set(mapping) - set(own))
        if unknown:
            raise WeightsError(
                f"QAConv weights carry unknown tensors {unknown}; known are {sorted(own)}. "
                "Pass only the tensors of the matching layer, without a prefix."
            )
        loaded = {}
        for name, current in own.items():
            if name.endswith("num_batches_tracked") and name not in mapping:
                loaded[name] = current
                continue
            if name not in mapping:
                raise WeightsError(f"QAConv weights lack {name!r}; found {sorted(mapping)}.")
            value = torch.as_tensor(mapping[name]).to(current)
            if name == "fc.weight" and value.shape != current.shape:
                raise WeightsError(self._wrong_locations(tuple(value.shape)))
            if value.numel() != current.numel():
                raise WeightsError(
                    f"QAConv weight {name!r} has shape {tuple(value.shape)}, "
                    f"expected {tuple(current.shape)}."
                )
            if not bool(torch.isfinite(value).all()):
                raise WeightsError(f"QAConv weight {name!r} has values that are not finite.")
            loaded[name] = value.reshape(current.shape)
        self.load_state_dict(loaded)

    def _check(self, maps: Tensor, role: str) -> None:
        expected = (self.channels, self.height, self.width)
        if maps.ndim != 4 or tuple(maps.shape[1:]) != expected:
            raise ValueError(
                f"{role} must be [N, {self.channels}, {self.height}, {self.width}], "
                f"got {list(maps.shape)}"
            )

    def _wrong_locations(self, found: tuple[int, ...]) -> str:
        per_side = self.height * self.width
        return (
            f"QAConv weight 'fc.weight' has shape {found}, but version {self.version} on a "
            f"{self.height} x {self.width} map needs {tuple(self.fc.weight.shape)} "
            f"({per_side} locations). Use the version and the image size of the checkpoint."
        )


@dataclass(frozen=True, slots=True, eq=False)
class FoldedHead:
    """The head in evaluation mode as two weighted sums and an offset.

    `score = sum(query_weight * query_maxima) + sum(gallery_weight * gallery_maxima) + offset`.

    Attributes:
        query_weight: Weight of each query location, shape `[n]`.
        gallery_weight: Weight of each gallery location, shape `[n]`; equal to `query_weight` for
            version "2.1".
        offset: Score of a pair whose maxima are all zero.
        height: Rows of the feature maps.
        width: Columns of the feature maps.
    """

    query_weight: Tensor
    gallery_weight: Tensor
    offset: float
    height: int
    width: int

    def __post_init__(self) -> None:
        shape = (self.height * self.width,)
        if self.query_weight.shape != shape or self.gallery_weight.shape != shape:
            raise ValueError(
                f"weights must be {shape}, got {tuple(self.query_weight.shape)} "
                f"and {tuple(self.gallery_weight.shape)}"
            )

    @property
    def symmetric(self) -> bool:
        """Whether exchanging query and gallery leaves the score as it is."""
        return torch.equal(self.query_weight, self.gallery_weight)

    @property
    def highest_score(self) -> float:
        """No pair scores higher; reached where every maximum is 1 (or -1 for a negative weight)."""
        total = self.query_weight.double().abs().sum() + self.gallery_weight.double().abs().sum()
        return float(total) + self.offset

    def apply(self, query_maxima: Tensor, gallery_maxima: Tensor) -> Tensor:
        """Score pooled maxima.

        Args:
            query_maxima: Maximum for each query location, shape `[..., n]`.
            gallery_maxima: Maximum for each gallery location, shape `[..., n]`.

        Returns:
            Logits, shape `[...]`.
        """
        return query_maxima @ self.query_weight + gallery_maxima @ self.gallery_weight + self.offset

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype) -> "FoldedHead":
        """Return a copy on another device or with another dtype."""
        return FoldedHead(
            self.query_weight.to(device=device, dtype=dtype),
            self.gallery_weight.to(device=device, dtype=dtype),
            self.offset,
            self.height,
            self.width,
        )


@torch.no_grad()
def fold(layer: QAConv) -> FoldedHead:
    """Fold both normalisations of a trained layer into its weights (exact in evaluation mode).

    Args:
        layer: The layer; its running statistics are used whatever its mode is.

    Returns:
        The head with `A * w` as location weights and `B` as offset, computed in float64 and given
        in the dtype of the layer.
    """
    scale_in, shift_in = _affine(layer.bn)
    scale_out, shift_out = _affine(layer.logit_bn)
    weight = layer.fc.weight.detach().double().flatten()
    bias = float(layer.fc.bias.detach().double())
    if layer.symmetric:
        sides = (weight, weight)
        bias *= 2.0
    else:
        gallery_side, query_side = weight.chunk(2)
        sides = (query_side, gallery_side)
    total = float(sides[0].sum() + sides[1].sum())
    dtype = layer.fc.weight.dtype
    return FoldedHead(
        query_weight=(scale_in * scale_out * sides[0]).to(dtype),
        gallery_weight=(scale_in * scale_out * sides[1]).to(dtype),
        offset=scale_out * (shift_in * total + bias) + shift_out,
        height=layer.height,
        width=layer.width,
    )


def _affine(norm: nn.BatchNorm1d) -> tuple[float, float]:
    """Scale and shift of a one-feature normalisation in evaluation mode."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("cannot fold a normalisation without running statistics")
    scale = float(norm.weight.double()) / float(norm.running_var.double() + norm.eps) ** 0.5
    return scale, float(norm.bias.double()) - scale * float(norm.running_mean.double())
