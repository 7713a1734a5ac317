"""What every recipe shares: batches, checkpoints, and batch norms that keep their statistics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from streamreid.errors import ConfigError
from streamreid.reid.backbone import MapNetwork
from streamreid.reid.qaconv import QAConv
from streamreid.training.augment import AugmentConfig, augment
from streamreid.training.checkpoint import read_checkpoint, write_checkpoint
from streamreid.training.images import ImageSet
from streamreid.training.sampling import step_generator

_AUGMENT_STREAM = 2


class Plan(Protocol):
    """Settings that every recipe has; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def augment(self) -> AugmentConfig:
        """Changes of the images."""

    @property
    def bfloat16(self) -> bool:
        """Whether the network runs in bfloat16."""

    @property
    def seed(self) -> int:
        """Seed of batches and augmentations."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did: steps done, loss, share of right nearest partners, rate factor."""

    step: int
    loss: float
    accuracy: float
    rate_factor: float


class Recipe(ABC):
    """One run: network, optimiser and step count, resumable after any step.

    Args:
        network: The network to train, on the CPU.
        images: Training images.
        plan: The run's settings.

    Attributes:
        step: Batches done.
    """

    _optimiser: torch.optim.Optimizer

    def __init__(self, network: MapNetwork, images: ImageSet, plan: Plan) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.images = images
        self.plan = plan
        self.step = 0
        height, width = (int(side) // network.stride for side in images.pixels.shape[1:3])
        self._map_size = height, width

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether training is over."""

    @property
    @abstractmethod
    def expected_steps(self) -> int:
        """Steps of the whole run as far as known."""

    @abstractmethod
    def train_step(self) -> StepReport:
        """Do one batch."""

    @abstractmethod
    def model(self) -> tuple[MapNetwork, QAConv]:
        """What would be exported now, both in evaluation mode."""

    def save(self, path: Path) -> None:
        """Write a checkpoint; the file is complete or as before."""
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        write_checkpoint(path, state | self._own_state())

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint that `save` wrote.

        Raises:
            ConfigError: It was written under another plan, for another network or other images.
            WeightsError: It cannot be read.
        """
        state = read_checkpoint(path, asdict(self.plan))
        try:
            self.step = state["step"]
            self.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._restore_own(state)
        except (RuntimeError, ValueError, KeyError) as exc:
            reason = str(exc).splitlines()[0]
            raise ConfigError(
                f"checkpoint {path} does not fit this run ({reason}); use the configuration and "
                "the images that it was written with, or another --out to start again"
            ) from exc

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """What the recipe keeps besides network and optimiser; plain tensors and numbers."""

    @abstractmethod
    def _restore_own(self, state: Mapping[str, Any]) -> None:
        """Take over what `_own_state` gave."""

    def _batch(self, index: Tensor) -> Tensor:
        """The images of this step's batch, changed at random, `[N, 3, H, W]` in [0, 1]."""
        generator = step_generator(self.plan.seed, self.step, _AUGMENT_STREAM)
        return augment(self.images.pixels[index], self.plan.augment, generator)

    def _set_train_mode(self) -> None:
        """Train all but the trunk's batch norm statistics, which stay those of its start."""
        self.network.train()
        for module in self.network.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def _mixed_precision(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.plan.bfloat16)
