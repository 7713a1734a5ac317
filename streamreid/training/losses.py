"""The published losses on QAConv scores: hard triplet, pairwise matching, class memory.

Source: sections 3.1-3.3 of the design follow Liao and Shao, arXiv 1904.10424 (class memory with
focal weight) and arXiv 2104.01546 (pairwise matching, hard triplet); behaviour checked against
ShengcaiLiao/QAConv at v1.0-eccv, v1.1, v1.2, v2.0 and a3db278a.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamreid.reid.qaconv import QAConv

# What a sample without any positive (or negative) takes part with: far outside of all logits.
_ABSENT = 1e15


def triplet_loss(score: Tensor, targets: Tensor, margin: float = 16.0) -> tuple[Tensor, Tensor]:
    """Batch-hard triplet loss on scores: the worst positive against the worst negative.

    Args:
        score: Logits of all pairs of the batch, shape `[B, B]`, larger is more similar.
        targets: Class of each sample, shape `[B]`, int64.
        margin: Wanted gap in logits.

    Returns:
        Loss `[B]` (non-finite values are left to the caller, who drops them) and correctness `[B]`:
        1.0 where the worst positive is at least as good as the worst negative, else 0.0.

    Raises:
        ValueError: If the shapes do not fit.
    """
    hardest_positive, hardest_negative = _hardest(score, targets)
    loss = (margin - (hardest_positive - hardest_negative)).clamp_min(0.0)
    return loss, (hardest_positive >= hardest_negative).to(score.dtype)


def pairwise_matching_loss(score: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross entropy over all pairs of the batch, each sample with itself included.

    Args:
        score: Logits of all pairs of the batch, shape `[B, B]`.
        targets: Class of each sample, shape `[B]`, int64.

    Returns:
        Loss `[B]` (sum over the row) and correctness `[B]` as for `triplet_loss`.

    Raises:
        ValueError: If the shapes do not fit.
    """
    hardest_positive, hardest_negative = _hardest(score, targets)
    same = (targets[:, None] == targets[None, :]).to(score.dtype)
    loss = functional.binary_cross_entropy_with_logits(score, same, reduction="none").sum(dim=1)
    return loss, (hardest_positive >= hardest_negative).to(score.dtype)


class ClassMemory(nn.Module):
    """Focal loss of a batch against one remembered feature map per class (versions 1.x).

    The memory plays the gallery and gets no gradient. After each call the newest sample of a class
    replaces its map.

    Args:
        matcher: The matching layer; its parameters learn, its running statistics are updated.
        classes: Number of training classes.
        mask_unseen: Leave classes that were never seen out of the loss (1.1 and later). In 1.0
            their all-zero maps count as negatives.
        chunk: Call the whole matcher on this many classes at a time (1.2: 16), so that its batch
            statistics are per chunk. None normalises over all classes at once (1.0, 1.1).
    """

    class_memory: Tensor
    valid_class: Tensor

    def __init__(
        self,
        matcher: QAConv,
        classes: int,
        *,
        mask_unseen: bool = True,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if classes < 1 or (chunk is not None and chunk < 1):
            raise ValueError(f"classes and chunk must be positive, got {classes} and {chunk}")
        self.matcher = matcher
        self.mask_unseen = mask_unseen
        self.chunk = chunk
        shape = (classes, matcher.channels, matcher.height, matcher.width)
        self.register_buffer("class_memory", torch.zeros(shape))
        self.register_buffer("valid_class", torch.zeros(classes))

    def forward(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compare a batch with the memory, then remember it.

        Args:
            features: Feature maps with unit norm over channels, shape `[B, C, h, w]`.
            targets: Class of each sample, shape `[B]`, int64 in `[0, classes)`.

        Returns:
            Loss `[B]` and correctness `[B]`: 1.0 where the best class of all is the right one.
        """
        memory = self.class_memory.detach().clone()
        step = self.chunk or len(memory)
        parts = torch.split(memory, step)
        score = torch.cat([self.matcher(features, part) for part in parts], dim=1)
        wanted = functional.one_hot(targets, len(memory)).to(score.dtype)
        cross_entropy = functional.binary_cross_entropy_with_logits(score, wanted, reduction="none")
        probability = torch.sigmoid(score)
        focal = torch.where(wanted > 0, 1.0 - probability, probability) ** 2
        loss = focal * cross_entropy
        if self.mask_unseen:
            loss = loss * self.valid_class.clone()
        with torch.no_grad():
            # One by one: when a class is in the batch twice its later sample has to win.
            for feature, target in zip(features.detach(), targets.tolist(), strict=True):
                self.class_memory[target] = feature
            self.valid_class[targets] = 1.0
        return loss.sum(dim=1), (score.argmax(dim=1) == targets).to(score.dtype)


def _hardest(score: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest score of another sample of the class, largest score of any other class."""
    count = len(targets)
    if score.shape != (count, count) or targets.ndim != 1:
        raise ValueError(
            f"score must be [B, B] and targets [B], got {list(score.shape)} and "
            f"{list(targets.shape)}"
        )
    same = targets[:, None] == targets[None, :]
    itself = torch.eye(count, dtype=torch.bool, device=score.device)
    positive = score.masked_fill(~same | itself, _ABSENT).min(dim=1).values
    negative = score.masked_fill(same, -_ABSENT).max(dim=1).values
    return positive, negative
