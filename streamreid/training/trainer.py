"""Training loop of the shipped weights: pair softmax on QAConv scores, resumable at any step."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamreid.reid.backbone import MapNetwork
from streamreid.reid.lite0 import Lite0Trunk
from streamreid.reid.preprocess import to_unit_range
from streamreid.reid.qaconv import QAConv
from streamreid.reid.weights import weighted_head
from streamreid.training.augment import AugmentConfig
from streamreid.training.images import ImageSet
from streamreid.training.pair_scores import pair_scores, pair_softmax_loss
from streamreid.training.recipe import Recipe, StepReport
from streamreid.training.sampling import BatchPlan, BatchSampler

_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """Everything that decides the result of a run, next to the images and the first weights.

    Attributes:
        batch: Make-up of the batches.
        augment: Changes of the images.
        steps: Batches in all; the learning rate falls along half a cosine over them.
        warmup_steps: Batches over which the learning rate rises.
        trunk_rate: Largest learning rate of the trunk.
        head_rate: Largest learning rate of the neck.
        location_rate: Largest learning rate of the location weights.
        weight_decay: AdamW's decay, on convolutions only.
        temperature: Factor on the scores inside the softmax.
        frozen_blocks: Blocks of the trunk, from the stem, that keep their first weights.
        late_frozen_blocks: The same from `late_from_step` on, where it saves time.
        late_from_step: First step with `late_frozen_blocks`.
        refresh_steps: Steps between two searches for neighbour identities.
        average: Decay of the running mean of the weights, which is what gets exported.
        clip: Largest norm of the gradient.
        bfloat16: Run the network and the matching products in bfloat16.
        seed: Seed of batches and augmentations.
    """

    batch: BatchPlan
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    steps: int = 900
    warmup_steps: int = 40
    trunk_rate: float = 4e-4
    head_rate: float = 1e-3
    location_rate: float = 2e-3
    weight_decay: float = 0.02
    temperature: float = 24.0
    frozen_blocks: int = 3
    late_frozen_blocks: int = 3
    late_from_step: int = 0
    refresh_steps: int = 150
    average: float = 0.99
    clip: float = 5.0
    bfloat16: bool = True
    seed: int = 1


class Trainer(Recipe):
    """One run: network, location weights, optimiser and step count.

    Args:
        network: The network to train, on the CPU.
        images: Training images.
        plan: The run's settings.
        location_weight: First weights of the locations, shape `[h * w]`; None makes them equal.

    Raises:
        ValueError: If a source has too few identities for a batch.
    """

    plan: TrainPlan

    def __init__(
        self,
        network: MapNetwork,
        images: ImageSet,
        plan: TrainPlan,
        *,
        location_weight: Tensor | None = None,
    ) -> None:
        super().__init__(network, images, plan)
        height, width = self._map_size
        weight = torch.ones(height * width) if location_weight is None else location_weight
        self.location_logits = nn.Parameter(weight.clamp_min(_LEAST_WEIGHT).log())
        self.sampler = BatchSampler(images, plan.batch, seed=plan.seed)
        self._neighbours: Tensor | None = None
        self._freeze(plan.frozen_blocks)
        self._optimiser = torch.optim.AdamW(self._parameter_groups())
        self._first_rates = [group["lr"] for group in self._optimiser.param_groups]
        self._mean = copy.deepcopy(network).eval()
        self._mean_logits = self.location_logits.detach().clone()

    def train_step(self) -> StepReport:
        """Do one batch."""
        plan = self.plan
        if self.step % plan.refresh_steps == 0 and self.step > 0 and plan.batch.neighbour_share > 0:
            self._neighbours = self._find_neighbours()
        if self.step >= plan.late_from_step and plan.late_frozen_blocks > plan.frozen_blocks:
            self._freeze(plan.late_frozen_blocks)
        factor = self._rate_factor()
        for group, rate in zip(self._optimiser.param_groups, self._first_rates, strict=True):
            group["lr"] = rate * factor
        index = self.sampler.batch(self.step, self._neighbours)
        self._set_train_mode()
        features = self._features(self._batch(index), self.network)
        loss, accuracy = self._loss(features, self.images.identity[index])
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(
            [p for p in self.network.parameters() if p.requires_grad], plan.clip
        )
        self._optimiser.step()
        self.step += 1
        self._update_mean()
        return StepReport(self.step, loss.item(), accuracy.item(), factor)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.plan.steps

    @property
    def expected_steps(self) -> int:
        """Steps of the whole run."""
        return self.plan.steps

    def model(self) -> tuple[MapNetwork, QAConv]:
        """The averaged network and its matching layer, both in evaluation mode."""
        height, width = self._map_size
        head = weighted_head(
            self._mean_logits.softmax(0),
            self._mean.channels,
            height,
            width,
            scale=self.plan.temperature,
            centre=0.0,
        )
        return self._mean, head

    def _own_state(self) -> dict[str, Any]:
        return {
            "mean": self._mean.state_dict(),
            "location_logits": self.location_logits.detach(),
            "mean_logits": self._mean_logits,
            "neighbours": self._neighbours,
        }

    def _restore_own(self, state: Mapping[str, Any]) -> None:
        self._mean.load_state_dict(state["mean"])
        with torch.no_grad():
            self.location_logits.copy_(state["location_logits"])
        self._mean_logits = state["mean_logits"]
        self._neighbours = state["neighbours"]

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.plan.bfloat16 else torch.float32

    def _loss(self, features: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of a batch from the neck's output `[N, C, h, w]`."""
        score = pair_scores(
            functional.normalize(features, dim=1),
            self.location_logits.softmax(0),
            dtype=self._dtype,
        )
        return pair_softmax_loss(score, identity, temperature=self.plan.temperature)

    def _features(self, images: Tensor, network: MapNetwork) -> Tensor:
        """The neck's output before normalisation, float32."""
        images = images.contiguous(memory_format=torch.channels_last)
        with self._mixed_precision():
            features: Tensor = network.neck(network.trunk(images))
        return features.float()

    def _freeze(self, blocks: int) -> None:
        if blocks == 0:
            return
        trunk = self.network.trunk
        if not isinstance(trunk, Lite0Trunk):
            raise ValueError("only EfficientNet-Lite0 has blocks to freeze; set frozen_blocks to 0")
        for module in (trunk.stem, *list(trunk.blocks)[:blocks]):
            module.requires_grad_(False)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        plan = self.plan
        groups: list[dict[str, Any]] = []
        for module, rate in (
            (self.network.trunk, plan.trunk_rate),
            (self.network.neck, plan.head_rate),
        ):
            learnt = [p for p in module.parameters() if p.requires_grad]
            for chosen, decay in (
                ([p for p in learnt if p.ndim > 1], plan.weight_decay),
                ([p for p in learnt if p.ndim <= 1], 0.0),
            ):
                if chosen:
                    groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
        location = {"params": [self.location_logits], "lr": plan.location_rate, "weight_decay": 0.0}
        return [*groups, location]

    def _rate_factor(self) -> float:
        warm = min(1.0, (self.step + 1) / max(1, self.plan.warmup_steps))
        return warm * 0.5 * (1.0 + math.cos(math.pi * self.step / self.plan.steps)) + 0.005

    def _update_mean(self) -> None:
        decay = min(self.plan.average, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(self._mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1.0 - decay)
            self._mean_logits.lerp_(self.location_logits.detach(), 1.0 - decay)

    @torch.no_grad()
    def _find_neighbours(self) -> Tensor:
        """Nearest identities of every identity, inside its source, by one drawn image each.

        Row-pooled vectors stand in for the matching scores, which would take minutes on a CPU.
        """
        index = self.sampler.representatives(self.step)
        parts = [
            self._features(to_unit_range(self.images.pixels[part]), self._mean)
            for part in torch.split(index, 64)
        ]
        rows = functional.normalize(torch.cat(parts), dim=1).mean(dim=3).flatten(1)
        rows = functional.normalize(rows, dim=1)
        distance = -(rows @ rows.t())
        source = self.sampler.source_of_class
        distance[source[:, None] != source[None, :]] = 1e14
        distance.fill_diagonal_(1e15)
        count = self.plan.batch.identities - 1
        return distance.topk(count, dim=1, largest=False).indices
