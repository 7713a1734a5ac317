"""Fits what the engine decides by on a stream of people that the weights did not train on."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.optimize import isotonic_regression

from streamreid.association.calibration import (
    DecisionModel,
    DecisionModels,
    fit_logistic,
    logit,
    sigmoid,
)
from streamreid.association.joining import JoinMap
from streamreid.engine.coefficients import MODES, Coefficients, LinkCoefficients, Mode
from streamreid.engine.evidence import PairEvidence
from streamreid.engine.joining import JoinEvidence
from streamreid.engine.settings import EngineSettings
from streamreid.evaluation.clustering import Search, majority
from streamreid.evaluation.replay import Replay
from streamreid.evaluation.tracklets import Tracklet
from streamreid.types import Float64Array


class Player(Protocol):
    """Replays tracklets with settings, telling witnesses about pairs of tracks and identities."""

    def __call__(
        self,
        tracklets: Sequence[Tracklet],
        settings: EngineSettings,
        witness: Callable[[PairEvidence], None] | None = None,
        join_witness: Callable[[JoinEvidence], None] | None = None,
    ) -> Replay:
        """Replay once."""


RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
_GRID = (0.4, 0.65, 0.8, 0.9, 0.96)
_REFINEMENTS = 6
_FINE_RATES = (0.008, 0.12)
_JOIN_GRID = (0.7, 0.85)
_NEVER = JoinMap(offset=-1e6)
_TERMS: dict[Mode, tuple[bool, bool]] = {
    "appearance": (False, False),
    "cooccurrence": (True, False),
    "transitions": (False, True),
    "full": (True, True),
}


@dataclass(frozen=True, slots=True, eq=False)
class PairTable:
    """Pairs with known truth, one row each.

    Attributes:
        logit: Calibrated appearance logit, shape `(N,)`.
        shared: Neighbourhood similarity, shape `(N,)`.
        cooccurrence: Log ratio of TLift weights, shape `(N,)`, NaN without evidence.
        transition: Log likelihood ratio of times, shape `(N,)`, NaN without evidence.
        same: 1 for one person, shape `(N,)`.
    """

    logit: Float64Array
    shared: Float64Array
    cooccurrence: Float64Array
    transition: Float64Array
    same: Float64Array


def collect_pairs(
    streams: Sequence[Sequence[Tracklet]], play: Player, settings: EngineSettings
) -> PairTable:
    """Replay streams and write down every pair at the time of its decision.

    Args:
        streams: Streams with known truth.
        play: Replays one.
        settings: What the engine decides by; both time terms must be on.
    """
    rows: list[tuple[float, float, float, float, float]] = []
    for stream in streams:
        person = {tracklet.track: tracklet.person for tracklet in stream}

        def witness(pair: PairEvidence, person: dict[int, int] = person) -> None:  # type: ignore[assignment]
            rows.append(
                (
                    pair.logit,
                    pair.shared,
                    np.nan if pair.terms.cooccurrence is None else pair.terms.cooccurrence,
                    np.nan if pair.terms.transition is None else pair.terms.transition,
                    float(person[pair.track] == person[pair.other]),
                )
            )

        play(stream, settings, witness)
    table = np.array(rows)
    return PairTable(*(table[:, column] for column in range(5)))


def fit_models(pairs: PairTable, *, ridge: float = 1.0) -> DecisionModels:
    """Fit one model per set of time terms.

    Args:
        pairs: Pairs with known truth.
        ridge: Pull of the standardised coefficients towards 0.
    """
    return DecisionModels(**{mode: _fit_model(pairs, mode, ridge) for mode in MODES})


def log_loss(pairs: PairTable, models: DecisionModels) -> float:
    """Mean negative log likelihood of the pairs under the models."""
    total = 0.0
    for row in zip(
        pairs.logit, pairs.shared, pairs.cooccurrence, pairs.transition, pairs.same, strict=True
    ):
        odds = models.log_odds(
            row[0], row[1], *(None if np.isnan(value) else value for value in row[2:4])
        )
        total -= float(np.log(max(sigmoid(odds if row[4] else -odds), 1e-12)))
    return total / len(pairs.same)


def fit_link_map(searches: Sequence[Search]) -> tuple[float, float]:
    """Slope and offset from a linkage value to the log odds that the best candidate is right.

    Args:
        searches: From replays with slope 1 and offset 0, so that probabilities are sigmoids of
            linkage values.
    """
    asked = [search for search in searches if search.probability > 0]
    value = np.array([[logit(search.probability)] for search in asked])
    right = np.array([float(search.correct) for search in asked])
    offset, slope = fit_logistic(value, right, ridge=0.1).tolist()
    return max(float(slope), 0.05), float(offset)


def fit_join_map(
    streams: Sequence[Sequence[Tracklet]], play: Player, settings: EngineSettings
) -> JoinMap:
    """How likely two identities that a track brought up are one person.

    They are held against each other at usual thresholds without being joined. However often the
    same two come up, together they count once.

    Args:
        streams: Streams with known truth.
        play: Replays one.
        settings: Everything but the threshold and the map.

    Returns:
        The map; one that never joins when two identities of one person, or of two, never came up.
    """
    rows: list[tuple[float, float, float]] = []
    same: list[float] = []
    weights: list[float] = []
    for chance in _JOIN_GRID:
        trial = replace(
            settings, thresholds=((0.5, chance),), false_merge_rate=0.5, join_map=_NEVER
        )
        for stream in streams:
            person = {tracklet.track: tracklet.person for tracklet in stream}
            found: list[JoinEvidence] = []
            play(stream, trial, None, found.append)
            often = Counter((one.kept[0], one.gone[0]) for one in found)
            for one in found:
                kept, gone = (
                    majority([person[key] for key in side]) for side in (one.kept, one.gone)
                )
                rows.append((one.value, float(np.log(max(one.pairs, 1))), one.turns))
                same.append(float(kept == gone))
                weights.append(1.0 / often[one.kept[0], one.gone[0]])
    if len(set(same)) < 2:
        return _NEVER
    offset, slope, size, turns = fit_logistic(
        np.array(rows), np.array(same), weights=np.array(weights), ridge=1.0
    ).tolist()
    return JoinMap(max(slope, 0.05), offset, max(-size, 0.0), max(turns, 0.0))


def fit_thresholds(
    streams: Sequence[Sequence[Tracklet]], play: Player, settings: EngineSettings
) -> tuple[tuple[float, float], ...]:
    """Measure which link probability leads to which rate of false links.

    Args:
        streams: Streams with known truth.
        play: Replays one.
        settings: Everything but the threshold.

    Returns:
        Pairs (false-merge rate, link probability), rates ascending.
    """
    measured = {chance: _false_links(streams, play, settings, chance) for chance in _GRID}
    for _ in range(_REFINEMENTS):
        chance = _widest_gap(measured)
        if chance is None:
            break
        measured[chance] = _false_links(streams, play, settings, chance)
    chances, rates = _falling(measured)
    odds = np.array([logit(chance) for chance in chances])
    found = np.interp(np.log(RATES), np.log(rates[::-1]), odds[::-1])
    return tuple((rate, sigmoid(float(value))) for rate, value in zip(RATES, found, strict=True))


def _false_links(
    streams: Sequence[Sequence[Tracklet]], play: Player, settings: EngineSettings, chance: float
) -> tuple[int, int]:
    """False links and links over all streams when links are made from a probability on."""
    trial = replace(settings, thresholds=((0.5, chance),), false_merge_rate=0.5)
    figures = [play(stream, trial).figures for stream in streams]
    return sum(one.false_links for one in figures), sum(one.links for one in figures)


def _falling(measured: Mapping[float, tuple[int, int]]) -> tuple[list[float], Float64Array]:
    """Probabilities ascending, and the rate at each, made to fall as it must (isotonic)."""
    chances = sorted(measured)
    # Laplace's rule keeps a rate that was never seen above 0.
    rates = [(measured[chance][0] + 0.5) / (measured[chance][1] + 1.0) for chance in chances]
    weights = [measured[chance][1] + 1.0 for chance in chances]
    result: Float64Array = isotonic_regression(rates, weights=weights, increasing=False).x
    return chances, result


def _widest_gap(measured: Mapping[float, tuple[int, int]]) -> float | None:
    """Where to measure next: inside the largest step of the rate, among rates that are asked for.

    The rate falls steeply there, and a line between far points would miss the stated rate by half.
    """
    chances, rates = _falling(measured)
    inside = np.log(np.clip(rates, *_FINE_RATES))
    step = inside[:-1] - inside[1:]
    widest = int(np.argmax(step))
    if step[widest] < np.log(1.1):
        return None
    return sigmoid((logit(chances[widest]) + logit(chances[widest + 1])) / 2)


def fit_all(
    streams: Sequence[Sequence[Tracklet]],
    play: Player,
    start: Coefficients,
    *,
    lag_s: float,
    say: Callable[[str], None] = lambda _: None,
) -> Coefficients:
    """Fit pair models, link and join maps and thresholds of every mode.

    Args:
        streams: Streams with known truth; people that the weights did not train on.
        play: Replays one.
        start: Parameters that are taken as given: calibration, linkage, neighbours, time, age.
        lag_s: Lag of the replays, seconds.
        say: Told how far it has got.
    """
    trial = start.settings("full", lag_s=lag_s, thresholds=((0.5, 0.5),))
    pairs = collect_pairs(streams, play, trial)
    models = fit_models(pairs)
    say(f"{len(pairs.same)} pairs, {int(pairs.same.sum())} of one person; {models}")
    found = replace(start, models=models, links={})
    links: dict[Mode, LinkCoefficients] = {}
    for mode in MODES:
        plain = replace(
            found.settings(mode, lag_s=lag_s, thresholds=((0.5, 0.5),), false_merge_rate=0.5),
            join_map=_NEVER,
        )
        searches = [search for stream in streams for search in play(stream, plain, None).searches]
        slope, offset = fit_link_map(searches)
        mapped = replace(plain, link_slope=slope, link_offset=offset)
        joins = fit_join_map(streams, play, mapped)
        mapped = replace(mapped, join_map=joins)
        thresholds = fit_thresholds(streams, play, mapped)
        links[mode] = LinkCoefficients(slope, offset, thresholds, joins)
        say(f"{mode}: {links[mode]}")
    return replace(found, links=links)


def _fit_model(pairs: PairTable, mode: Mode, ridge: float) -> DecisionModel:
    companions, clocks = _TERMS[mode]
    columns = [
        pairs.logit,
        np.sqrt(pairs.shared),
        np.nan_to_num(pairs.cooccurrence) if companions else np.zeros_like(pairs.logit),
        np.nan_to_num(pairs.transition) if clocks else np.zeros_like(pairs.logit),
    ]
    features = np.stack(columns, axis=1)
    scale = features.std(axis=0)
    scale[scale < 1e-9] = 1.0
    constant, *factors = fit_logistic(features / scale, pairs.same, ridge=ridge).tolist()
    appearance, shared, cooccurrence, transition = (np.array(factors) / scale).tolist()
    return DecisionModel(
        constant=constant,
        appearance=max(appearance, 0.0),
        cooccurrence=max(cooccurrence, 0.0),
        transition=max(transition, 0.0),
        neighbours=max(shared, 0.0),
    )
