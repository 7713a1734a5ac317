"""Graph sampling: mini-batches made of classes that look alike.

Source: Liao and Shao, arXiv 2104.01546; behaviour of ShengcaiLiao/QAConv v2.1. Once per epoch one
image per class is drawn, all classes are compared by the matcher in evaluation mode, and every
class forms a batch with its nearest neighbours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def neighbours(distance: Tensor, count: int) -> Tensor:
    """Nearest other classes of each class; the deterministic part of graph sampling.

    Args:
        distance: Distance of all pairs of classes, shape `[N, N]`; smaller is more similar.
        count: Number of neighbours, in `[0, N - 1]`.

    Returns:
        Indices, shape `[N, count]`, int64, nearest first; ties go to the lower index.

    Raises:
        ValueError: If the matrix is not square or has fewer than `count + 1` classes.
    """
    classes = len(distance)
    if distance.ndim != 2 or distance.shape[1] != classes:
        raise ValueError(f"distance must be square, got {list(distance.shape)}")
    if not 0 <= count < classes:
        raise ValueError(
            f"{count} neighbours asked for with {classes} classes: use batches of at most "
            f"{classes} classes"
        )
    others = distance.detach().clone()
    others.fill_diagonal_(float("inf"))
    return others.argsort(dim=1, stable=True)[:, :count]


@dataclass(frozen=True, slots=True)
class ImagePickerState:
    """Where an `ImagePicker` stands; enough to go on exactly there.

    Attributes:
        order: Image indices of each class in their current order.
        position: Next place in `order` for each class.
    """

    order: tuple[tuple[int, ...], ...]
    position: tuple[int, ...]


class ImagePicker:
    """Hands out the images of each class in shuffled rounds.

    Args:
        targets: Class of each image in list order, shape `[images]`, int64; any integers.
        generator: Source of the shuffles and draws; its state belongs into a checkpoint too.
    """

    def __init__(self, targets: Tensor, generator: torch.Generator) -> None:
        images: dict[int, list[int]] = {}
        for index, target in enumerate(targets.tolist()):
            images.setdefault(target, []).append(index)
        if not images:
            raise ValueError("the training list is empty")
        self.classes = tuple(images)
        """Class of each row, in order of first appearance."""
        self._generator = generator
        self._order = [self._shuffled(members) for members in images.values()]
        self._position = [0] * len(self._order)

    def representatives(self) -> Tensor:
        """Draw one image of each class uniformly, shape `[classes]`, int64 image indices."""
        draws = [int(self._random(len(members))) for members in self._order]
        return torch.tensor(
            [members[draw] for members, draw in zip(self._order, draws, strict=True)]
        )

    def take(self, row: int, count: int) -> list[int]:
        """Next `count` images of a class; a class with fewer repeats some.

        Args:
            row: Row of the class in `classes`.
            count: Number of images.
        """
        chosen: list[int] = []
        while len(chosen) < count:
            if self._position[row] == len(self._order[row]):
                self._order[row] = self._shuffled(self._order[row])
                self._position[row] = 0
            chosen.append(self._order[row][self._position[row]])
            self._position[row] += 1
        return chosen

    def state(self) -> ImagePickerState:
        """Current orders and positions, for a checkpoint."""
        return ImagePickerState(tuple(map(tuple, self._order)), tuple(self._position))

    def restore(self, state: ImagePickerState) -> None:
        """Go on where `state` was taken.

        Raises:
            ValueError: If the state belongs to another training list.
        """
        if [sorted(order) for order in state.order] != [sorted(order) for order in self._order]:
            raise ValueError("the checkpoint was made with another training list")
        self._order = [list(order) for order in state.order]
        self._position = list(state.position)

    def _shuffled(self, members: list[int]) -> list[int]:
        places = torch.randperm(len(members), generator=self._generator).tolist()
        return [members[place] for place in places]

    def _random(self, upper: int) -> int:
        return int(torch.randint(upper, (1,), generator=self._generator))


def class_batches(neighbour_rows: Tensor) -> Tensor:
    """Rows of the classes of each batch: the neighbours, nearest first, then the class itself.

    Args:
        neighbour_rows: Result of `neighbours`, shape `[N, count]`.

    Returns:
        Shape `[N, count + 1]`, int64.
    """
    anchors = torch.arange(len(neighbour_rows), device=neighbour_rows.device)
    return torch.cat((neighbour_rows, anchors[:, None]), dim=1)


def epoch_batches(
    distance: Tensor,
    picker: ImagePicker,
    *,
    batch_size: int,
    images_per_class: int,
    generator: torch.Generator,
) -> list[list[int]]:
    """All mini-batches of one epoch, one per class, in random order.

    Args:
        distance: Distance of all pairs of classes in the order of `picker.classes`, `[N, N]`.
        picker: Hands out the images.
        batch_size: Images per batch, divisible by `images_per_class`.
        images_per_class: Images of each class in a batch (K).
        generator: Source of the order of the batches.

    Returns:
        Image indices of each batch, grouped by class, the anchor class last.

    Raises:
        ValueError: If the sizes do not fit each other.
    """
    if images_per_class < 1 or batch_size % images_per_class:
        raise ValueError(
            f"batch_size {batch_size} must be divisible by images_per_class {images_per_class}"
        )
    if len(distance) != len(picker.classes):
        raise ValueError(f"{len(distance)} distances for {len(picker.classes)} classes")
    rows = class_batches(neighbours(distance, batch_size // images_per_class - 1)).tolist()
    batches = [
        [image for row in batch for image in picker.take(row, images_per_class)] for batch in rows
    ]
    order = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[place] for place in order]
