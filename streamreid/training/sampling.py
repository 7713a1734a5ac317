"""Which images make a batch: a few identities, a few images of each, decided by the step number.

A batch depends on (seed, step) and on the stored neighbour lists only, so that training that was
interrupted continues with exactly the batches it would have had.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from streamreid.training.images import ImageSet

_STEP_PRIME = 1_000_003


def step_generator(seed: int, step: int, purpose: int = 0) -> torch.Generator:
    """Make the random generator of one step; `purpose` separates independent uses."""
    generator = torch.Generator()
    generator.manual_seed((seed * _STEP_PRIME + step) * 16 + purpose)
    return generator


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Size and make-up of a batch.

    Attributes:
        identities: Identities per batch.
        images: Images per identity.
        source_share: How often each source is drawn; one batch holds one source only, because
            people from different sources are too easy to tell apart.
        neighbour_share: Share of the batches made of one identity and its nearest neighbours.
    """

    identities: int
    images: int
    source_share: tuple[float, ...]
    neighbour_share: float = 0.5


class BatchSampler:
    """Draws batches of image indices.

    Args:
        images: The training images.
        plan: Size and make-up.
        seed: Seed of the whole run.

    Raises:
        ValueError: If a source has fewer identities than a batch needs.
    """

    def __init__(self, images: ImageSet, plan: BatchPlan, *, seed: int) -> None:
        self._plan = plan
        self._seed = seed
        self._camera = images.camera
        count = int(images.identity.max()) + 1
        order = torch.argsort(images.identity, stable=True)
        sizes = torch.bincount(images.identity, minlength=count)
        self._members = list(torch.split(order, sizes.tolist()))
        source_of = torch.tensor([int(images.source[members[0]]) for members in self._members])
        self._classes = [
            torch.nonzero(source_of == source).flatten() for source in range(len(plan.source_share))
        ]
        for source, classes in enumerate(self._classes):
            if len(classes) < plan.identities:
                raise ValueError(
                    f"source {source} has {len(classes)} identities, a batch needs "
                    f"{plan.identities}"
                )
        self.source_of_class = source_of

    def representatives(self, step: int) -> Tensor:
        """Draw one image of every identity, shape `[classes]`."""
        generator = step_generator(self._seed, step, 1)
        return torch.stack(
            [m[torch.randint(len(m), (1,), generator=generator)[0]] for m in self._members]
        )

    def batch(self, step: int, neighbours: Tensor | None) -> Tensor:
        """Draw the batch of one step.

        Args:
            step: Number of the step.
            neighbours: Nearest classes of each class, `[classes, >= identities - 1]`, or None.

        Returns:
            Image indices, shape `[identities * images]`, grouped by identity.
        """
        generator = step_generator(self._seed, step)
        share = torch.tensor(self._plan.source_share)
        source = int(torch.multinomial(share, 1, generator=generator))
        classes = self._classes[source]
        order = torch.randperm(len(classes), generator=generator)
        chosen = classes[order[: self._plan.identities]]
        hard = torch.rand(1, generator=generator).item() < self._plan.neighbour_share
        if hard and neighbours is not None:
            anchor = chosen[:1]
            chosen = torch.cat([anchor, neighbours[anchor[0], : self._plan.identities - 1]])
        return torch.cat([self._images_of(int(c), generator) for c in chosen])

    def _images_of(self, identity: int, generator: torch.Generator) -> Tensor:
        """Draw images of one identity, from as many cameras as it has."""
        members = self._members[identity]
        members = members[torch.randperm(len(members), generator=generator)]
        first_of_camera: list[int] = []
        rest: list[int] = []
        seen: set[int] = set()
        for member in members.tolist():
            camera = int(self._camera[member])
            (rest if camera in seen else first_of_camera).append(member)
            seen.add(camera)
        ordered = first_of_camera + rest
        repeats = -(-self._plan.images // len(ordered))
        return torch.tensor((ordered * repeats)[: self._plan.images])
