"""From scores to probabilities: logistic maps, their fit, the threshold for an error rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamreid.types import Float64Array

_LIMIT = 1e-9


def sigmoid(value: float) -> float:
    """Logistic function of one number, without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-min(value, 700.0)))
    power = math.exp(max(value, -700.0))
    return power / (1.0 + power)


def logit(probability: float) -> float:
    """Inverse of `sigmoid`; 0 and 1 become large finite numbers."""
    inside = min(max(probability, _LIMIT), 1.0 - _LIMIT)
    return math.log(inside / (1.0 - inside))


@dataclass(frozen=True, slots=True)
class DecisionModel:
    """Log odds of a pair from appearance and time (architecture 7.2).

    `constant + appearance * logit p + neighbours * sqrt(J) + cooccurrence * log((w + alpha) / (w0 +
    alpha)) + transition * log ratio`; a time term without evidence adds nothing.

    Attributes:
        constant: b0.
        appearance: b1.
        cooccurrence: b2, 0 or more.
        transition: b3, 0 or more.
        neighbours: Factor of the square root of the neighbourhood similarity, 0 or more.
    """

    constant: float = 0.0
    appearance: float = 1.0
    cooccurrence: float = 0.0
    transition: float = 0.0
    neighbours: float = 0.0

    def log_odds(
        self,
        appearance_logit: float,
        neighbour_similarity: float,
        cooccurrence_log_ratio: float | None,
        transition_log_ratio: float | None,
    ) -> float:
        """Log odds that two tracks are one person.

        Args:
            appearance_logit: Logit of the calibrated appearance probability.
            neighbour_similarity: Jaccard similarity of both neighbourhoods, in [0, 1].
            cooccurrence_log_ratio: `log((w + alpha) / (w0 + alpha))`, None without evidence.
            transition_log_ratio: Log likelihood ratio of the time between the tracks, None without
                evidence.
        """
        total = self.constant + self.appearance * appearance_logit
        total += self.neighbours * math.sqrt(neighbour_similarity)
        if cooccurrence_log_ratio is not None:
            total += self.cooccurrence * cooccurrence_log_ratio
        if transition_log_ratio is not None:
            total += self.transition * transition_log_ratio
        return total


@dataclass(frozen=True, slots=True)
class DecisionModels:
    """One model per set of time terms that have evidence for a pair.

    Attributes:
        appearance: Without any.
        cooccurrence: With live TLift only.
        transitions: With transition times only.
        full: With both.
    """

    appearance: DecisionModel = DecisionModel()
    cooccurrence: DecisionModel = DecisionModel(cooccurrence=0.5)
    transitions: DecisionModel = DecisionModel(transition=0.5)
    full: DecisionModel = DecisionModel(cooccurrence=0.5, transition=0.5)

    def log_odds(
        self,
        appearance_logit: float,
        neighbour_similarity: float,
        cooccurrence_log_ratio: float | None,
        transition_log_ratio: float | None,
    ) -> float:
        """Log odds that two tracks are one person; arguments as in `DecisionModel`."""
        if cooccurrence_log_ratio is None:
            model = self.appearance if transition_log_ratio is None else self.transitions
        else:
            model = self.cooccurrence if transition_log_ratio is None else self.full
        return model.log_odds(
            appearance_logit, neighbour_similarity, cooccurrence_log_ratio, transition_log_ratio
        )

    @property
    def uses_neighbours(self) -> bool:
        """Whether any model looks at neighbourhoods."""
        return any(
            model.neighbours
            for model in (self.appearance, self.cooccurrence, self.transitions, self.full)
        )


@dataclass(frozen=True, slots=True)
class LinkMap:
    """From linkage values to the probability that a link is right, and back.

    Attributes:
        slope: Slope of the map from linkage value to log odds, above 0.
        offset: Its offset.
    """

    slope: float = 1.0
    offset: float = 0.0

    def probability(self, value: float) -> float:
        """Probability of a link from its linkage value; 0 where nothing is known."""
        if value == -math.inf:
            return 0.0
        return sigmoid(self.slope * value + self.offset)

    def value(self, probability: float) -> float:
        """Linkage value from which a link is at least that likely right."""
        return (logit(probability) - self.offset) / self.slope


def fit_logistic(
    features: Float64Array,
    labels: Float64Array,
    *,
    weights: Float64Array | None = None,
    ridge: float = 1e-3,
    steps: int = 100,
) -> Float64Array:
    """Logistic regression by Newton's method.

    Args:
        features: Shape `(N, F)`; a constant column is added in front.
        labels: 0 or 1, shape `(N,)`.
        weights: Weight of every row, shape `(N,)`; equal when None.
        ridge: Strength of the pull of all coefficients but the constant towards 0.
        steps: Most Newton steps.

    Returns:
        Coefficients `(1 + F,)`, constant first.

    Raises:
        ValueError: If one of the two labels is missing.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError("a fit needs both matching and non-matching pairs; got only one kind")
    design = np.hstack([np.ones((len(features), 1)), features])
    weight = np.ones(len(labels)) if weights is None else weights
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0
    coefficients = np.zeros(design.shape[1])
    for _ in range(steps):
        probability = 1.0 / (1.0 + np.exp(-np.clip(design @ coefficients, -35, 35)))
        gradient = design.T @ (weight * (labels - probability)) - penalty * coefficients
        curvature = weight * np.maximum(probability * (1 - probability), 1e-9)
        hessian = (design * curvature[:, None]).T @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        coefficients = coefficients + np.clip(step, -5.0, 5.0)
        if float(np.abs(step).max()) < 1e-10:
            break
    return coefficients


def threshold_for(false_merge_rate: float, table: Sequence[tuple[float, float]]) -> float:
    """Smallest link probability to accept, from the false-merge rate that the user states.

    Args:
        false_merge_rate: Share of final links that may join two people, in (0, 1).
        table: Measured pairs (rate, threshold probability) on validation identities; interpolated
            in the logarithm of the rate. Empty: the calibrated probability itself is trusted, and
            the threshold is where a single link is wrong with five times the stated rate (links lie
            well above their threshold, so their mean is better than the worst of them).

    Returns:
        A probability in (0, 1).

    Raises:
        ValueError: If the rate is not in (0, 1).
    """
    if not 0.0 < false_merge_rate < 1.0:
        raise ValueError(f"false_merge_rate must be in (0, 1), got {false_merge_rate}")
    if not table:
        return 1.0 - min(5.0 * false_merge_rate, 0.5)
    ordered = sorted(table)
    rates = np.log([rate for rate, _ in ordered])
    odds = np.array([logit(threshold) for _, threshold in ordered])
    return sigmoid(float(np.interp(math.log(false_merge_rate), rates, odds)))


def expected_calibration_error(
    probability: Float64Array, correct: Float64Array, bins: int = 10
) -> float:
    """Mean distance between stated probability and measured frequency over equally filled bins.

    Args:
        probability: Stated probabilities, shape `(N,)`.
        correct: 1 where the statement was true, shape `(N,)`.
        bins: Number of bins.

    Returns:
        A fraction in [0, 1]; 0 without data.
    """
    if len(probability) == 0:
        return 0.0
    order = np.argsort(probability, kind="stable")
    error = 0.0
    for part in np.array_split(order, min(bins, len(order))):
        gap = abs(float(probability[part].mean()) - float(correct[part].mean()))
        error += gap * len(part) / len(order)
    return error
