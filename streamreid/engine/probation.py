"""Whether a piece of evidence has earned to be listened to."""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Probation:
    """Whether a term has told believed matches from other candidates lately.

    Attributes:
        memory: Observations after which an old one weighs 1/e.
        least: Observations before the term is trusted.
        count: Decayed number of observations.
        total: Decayed sum of the contrasts.
        squares: Decayed sum of their squares.
    """

    memory: float = 200.0
    least: float = 8.0
    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def observe(self, contrast: float) -> None:
        """Take in by how much a believed match's term exceeded that of the other candidates."""
        keep = 1.0 - 1.0 / self.memory
        value = max(min(contrast, 3.0), -3.0)
        self.count = self.count * keep + 1.0
        self.total = self.total * keep + value
        self.squares = self.squares * keep + value * value

    @property
    def passed(self) -> bool:
        """Whether the mean contrast is above 0 by two standard errors."""
        if self.count < self.least:
            return False
        mean = self.total / self.count
        spread = max(self.squares / self.count - mean * mean, 1e-6)
        return mean > 2.0 * math.sqrt(spread / self.count)

    @property
    def failed(self) -> bool:
        """Whether the term has had its chance and does not help."""
        return self.count >= 3 * self.least and not self.passed

    def dump(self) -> tuple[float, float, float]:
        """What the store keeps; `Probation(*, count, total, squares)` takes it back."""
        return (self.count, self.total, self.squares)
