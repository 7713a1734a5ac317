"""The published 2.1 recipe: graph sampling, hard triplet on QAConv logits, adaptive schedule.

Source: Liao and Shao, arXiv 2104.01546; behaviour of ShengcaiLiao/QAConv at v2.1 (9bdea330).
Two differences: mixed precision is bfloat16, which needs no loss scaling; colour factors are drawn
evenly on a logarithmic scale.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from streamreid.reid.backbone import MapNetwork
from streamreid.reid.matching import match_scores
from streamreid.reid.preprocess import to_unit_range
from streamreid.reid.qaconv import QAConv, fold
from streamreid.training.augment import AugmentConfig
from streamreid.training.graph_sampler import ImagePicker, ImagePickerState, epoch_batches
from streamreid.training.images import ImageSet
from streamreid.training.losses import triplet_loss
from streamreid.training.pair_scores import pair_maxima
from streamreid.training.recipe import Recipe, StepReport

_RATE_DROP = 0.1
_TRUNK_SHARE = 0.1
_MOMENTUM = 0.9
_WEIGHT_DECAY = 5e-4


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """Settings of the published recipe; the defaults are the published ones.

    Attributes:
        augment: Changes of the images.
        batch_size: Images per batch.
        images_per_class: Images of each class in a batch (K).
        rate: Learning rate of neck and matching layer; the trunk gets a tenth.
        epochs: Most epochs.
        step_factor: The rate drops once the mean loss is below this share of the second epoch's.
        margin: Margin of the triplet loss, logits.
        clip: Largest gradient norm, for network and matching layer separately.
        bfloat16: Run the network in bfloat16.
        seed: Seed of sampler and augmentations.
    """

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    batch_size: int = 64
    images_per_class: int = 2
    rate: float = 0.005
    epochs: int = 60
    step_factor: float = 0.7
    margin: float = 16.0
    clip: float = 8.0
    bfloat16: bool = True
    seed: int = 1


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """Where the adaptive schedule stands.

    Attributes:
        epoch: Epochs done.
        base_loss: Mean loss of the second epoch; 0 before its end.
        stepped: Whether the rate has dropped.
        last_epoch: Epoch after which training ends.
    """

    epoch: int
    base_loss: float
    stepped: bool
    last_epoch: int


def next_schedule(state: ScheduleState, mean_loss: float, step_factor: float) -> ScheduleState:
    """Move the schedule on by one finished epoch.

    Args:
        state: Before the epoch.
        mean_loss: Mean loss of the epoch.
        step_factor: See `ReferencePlan`.

    Returns:
        The schedule after the epoch: the rate drops once, and training ends half as many epochs
        later as it took to get there.
    """
    epoch = state.epoch + 1
    base = mean_loss if epoch == 2 else state.base_loss
    drops = not state.stepped and epoch >= 2 and mean_loss < step_factor * base
    last = min(state.last_epoch, epoch + epoch // 2) if drops else state.last_epoch
    return ScheduleState(epoch, base, state.stepped or drops, last)


class ReferenceTrainer(Recipe):
    """One run of the published recipe on the CPU.

    Args:
        network: The network to train.
        images: Training images.
        plan: The run's settings.

    Raises:
        ValueError: If there are fewer classes than a batch needs.
    """

    plan: ReferencePlan

    def __init__(self, network: MapNetwork, images: ImageSet, plan: ReferencePlan) -> None:
        super().__init__(network, images, plan)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self.head = QAConv(network.channels, *self._map_size)
        self._generator = torch.Generator().manual_seed(plan.seed)
        self._picker = ImagePicker(images.identity, self._generator)
        self.schedule = ScheduleState(0, 0.0, False, plan.epochs)
        self._batches: list[list[int]] = []
        self._place = 0
        self._loss_sum = 0.0
        self._optimiser = torch.optim.SGD(
            [
                {"params": list(network.trunk.parameters()), "lr": plan.rate * _TRUNK_SHARE},
                {"params": list(network.neck.parameters()), "lr": plan.rate},
                {"params": list(self.head.parameters()), "lr": plan.rate},
            ],
            momentum=_MOMENTUM,
            weight_decay=_WEIGHT_DECAY,
            nesterov=True,
        )

    @property
    def finished(self) -> bool:
        """Whether the schedule has come to its end."""
        return self.schedule.epoch >= self.schedule.last_epoch

    @property
    def expected_steps(self) -> int:
        """Steps of the whole run as far as known; falls when the rate drops."""
        return self.schedule.last_epoch * len(self._picker.classes)

    def train_step(self) -> StepReport:
        """Do one batch, and close the epoch after its last."""
        if self._place == 0:
            self._batches = self._draw_epoch()
        index = torch.tensor(self._batches[self._place])
        self._set_train_mode()
        maps = self._maps(self._batch(index))
        score = self.head.head(*pair_maxima(maps, maps))
        losses, correct = triplet_loss(score, self.images.identity[index], self.plan.margin)
        finite = torch.isfinite(losses)
        loss = losses[finite].mean() if bool(finite.any()) else losses.new_zeros(())
        if bool(finite.any()):
            self._update(loss)
        self.step += 1
        self._place += 1
        self._loss_sum += loss.item()
        if self._place == len(self._batches):
            self._close_epoch()
        factor = _RATE_DROP if self.schedule.stepped else 1.0
        return StepReport(self.step, loss.item(), correct.mean().item(), factor)

    def model(self) -> tuple[MapNetwork, QAConv]:
        """The network and its matching layer, both in evaluation mode."""
        return self.network.eval(), self.head.eval()

    def _own_state(self) -> dict[str, Any]:
        picker = self._picker.state()
        return {
            "head": self.head.state_dict(),
            "schedule": asdict(self.schedule),
            "generator": self._generator.get_state(),
            "picker": {"order": picker.order, "position": picker.position},
            "batches": self._batches,
            "place": self._place,
            "loss_sum": self._loss_sum,
        }

    def _restore_own(self, state: Mapping[str, Any]) -> None:
        self.head.load_state_dict(state["head"])
        self.schedule = ScheduleState(**state["schedule"])
        self._generator.set_state(state["generator"])
        self._picker.restore(ImagePickerState(**state["picker"]))
        self._batches = state["batches"]
        self._place = state["place"]
        self._loss_sum = state["loss_sum"]

    def _update(self, loss: Tensor) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for parameters in (self.network.parameters(), self.head.parameters()):
            nn.utils.clip_grad_norm_(parameters, self.plan.clip)
        self._optimiser.step()

    def _close_epoch(self) -> None:
        before = self.schedule
        mean_loss = self._loss_sum / len(self._batches)
        self.schedule = next_schedule(before, mean_loss, self.plan.step_factor)
        self._place, self._loss_sum = 0, 0.0
        if self.schedule.stepped and not before.stepped:
            for group in self._optimiser.param_groups:
                group["lr"] *= _RATE_DROP

    def _set_train_mode(self) -> None:
        super()._set_train_mode()
        self.head.train()

    def _maps(self, images: Tensor) -> Tensor:
        with self._mixed_precision():
            maps: Tensor = self.network(images)
        return maps.float()

    @torch.no_grad()
    def _draw_epoch(self) -> list[list[int]]:
        """Batches of one epoch: every class with its nearest classes (graph sampling)."""
        self.network.eval()
        self.head.eval()
        maps = torch.cat([self._maps(part) for part in self._representatives()])
        distance = -match_scores(maps, maps, fold(self.head))
        return epoch_batches(
            distance,
            self._picker,
            batch_size=self.plan.batch_size,
            images_per_class=self.plan.images_per_class,
            generator=self._generator,
        )

    def _representatives(self) -> Iterator[Tensor]:
        for part in torch.split(self._picker.representatives(), 64):
            yield to_unit_range(self.images.pixels[part])
