"""Joins two identities that turn out to be one person: the one change of what is final."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from streamreid.association.calibration import LinkMap
from streamreid.association.joining import join_value
from streamreid.association.ledger import Numbers
from streamreid.engine.evidence import Evidence
from streamreid.engine.grouping import Grouping
from streamreid.engine.memory import Memory
from streamreid.engine.pairs import PairScores
from streamreid.engine.timing import TimeTerms
from streamreid.engine.tracks import Track
from streamreid.types import Float64Array, IdentityId, TrackKey

_LATEST = 32
"""Tracks of each identity that are laid over each other in time; more would cost more with age."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A track that became final in one identity and looks like others, too.

    Attributes:
        track: The track.
        others: The other identities and the track's linkage value with each, best first.
    """

    track: TrackKey
    others: tuple[tuple[IdentityId, float], ...]


@dataclass(frozen=True, slots=True)
class JoinEvidence:
    """Two identities that were held against each other; what fits are made of.

    Attributes:
        kept: Tracks of the older one.
        gone: Tracks of the younger one.
        value: Their linkage value.
        pairs: How many pairs of tracks were compared.
        turns: Log likelihood ratio that they take turns in the cameras as one person would.
    """

    kept: tuple[TrackKey, ...]
    gone: tuple[TrackKey, ...]
    value: float
    pairs: int
    turns: float


@dataclass(frozen=True, slots=True)
class _Pair:
    logit: float
    odds: float
    terms: TimeTerms


def bridges_of(
    grouping: Grouping,
    labels: dict[int, IdentityId],
    settled: set[TrackKey],
    memory: Memory,
    least: float,
) -> list[Bridge]:
    """Which settled tracks look like a second identity.

    Args:
        grouping: Who belongs together.
        labels: Identity of every group.
        settled: Tracks that became final with this grouping.
        memory: Everybody who is remembered.
        least: Linkage value from which a track looks like an identity.
    """
    found = []
    for row, number in enumerate(grouping.waiting):
        key = grouping.nodes[number].key
        if key not in settled:
            continue
        own = grouping.member[number]
        others = [
            (labels[group], float(grouping.value[row, column]))
            for column, group in enumerate(grouping.columns.tolist())
            if group != own and grouping.value[row, column] >= least
        ]
        others = [(one, value) for one, value in others if memory.latest(one)]
        others.sort(key=lambda other: (-other[1], other[0]))
        if others:
            found.append(Bridge(key, tuple(others[: memory.settings.join.tries])))
    return found


class Joiner:
    """Holds identities that a track brought up against each other, and joins those that are one.

    Args:
        memory: Everybody who is remembered.
        evidence: What time says.
        pairs: What is known about pairs of tracks.
        links: From linkage values to probabilities.
        threshold: Probability from which a link is made.
        witness: Told about every two identities that were held against each other.
    """

    def __init__(
        self,
        memory: Memory,
        evidence: Evidence,
        pairs: PairScores,
        links: LinkMap,
        threshold: float,
        witness: Callable[[JoinEvidence], None] | None = None,
    ) -> None:
        self._memory = memory
        self._ledger = memory.ledger
        self._time = evidence.time
        self._pairs = pairs
        self._links = links
        self._threshold = max(threshold, memory.settings.join.least_probability)
        self._witness = witness

    def join(self, bridges: Sequence[Bridge], at_s: float) -> None:
        """Join what the bridges bring together, as far as nothing bars it.

        Args:
            bridges: Tracks that became final just now and look like a second identity.
            at_s: Event time of the decision, epoch seconds.
        """
        tried: set[tuple[IdentityId, IdentityId]] = set()
        for bridge in bridges:
            for identity, _ in bridge.others:
                own = self._memory.identity(bridge.track)
                if len(self._memory.latest(own)) < 2:
                    # Alone it was held against the other just now, as one track against a person.
                    break
                other = self._ledger.resolve(identity)
                keep, gone = min(own, other), max(own, other)
                if own == other or (keep, gone) in tried:
                    continue
                tried.add((keep, gone))
                if self._may_join(keep, gone, at_s):
                    self._try(keep, gone, bridge, at_s)

    def _may_join(self, keep: IdentityId, gone: IdentityId, at_s: float) -> bool:
        """Whether nothing bars two identities from being one, however alike they look.

        An identity that an operator decided about is never taken apart, so two of them are never
        joined. One that may have tracks which are no longer remembered is not either: neither its
        rows nor its whereabouts would be complete.
        """
        settings = self._memory.settings
        if self._ledger.is_corrected(gone):
            return False
        if self._ledger.created_at_s(gone) < at_s - settings.max_age_s + settings.lag_s:
            return False
        ours, theirs = self._memory.tracks_of(keep), self._memory.tracks_of(gone)
        return not self._memory.conflicts(ours, theirs).any()

    def _try(self, keep: IdentityId, gone: IdentityId, bridge: Bridge, at_s: float) -> None:
        settings = self._memory.settings.join
        ours, theirs = (self._latest(one, settings.tracks) for one in (keep, gone))
        table = self._compare(ours, theirs, at_s)
        odds: Float64Array = np.full((len(ours), len(theirs)), np.nan)
        for (row, one), (column, other) in product(enumerate(ours), enumerate(theirs)):
            pair = table.get((one.key, other.key))
            if pair is not None:
                odds[row, column] = pair.odds
        value = join_value(odds, self._memory.settings.linkage)
        lately = (self._latest(one, _LATEST) for one in (keep, gone))
        turns = self._time.taking_turns(*lately, at_s=at_s)
        if self._witness is not None:
            self._witness(
                JoinEvidence(
                    self._ledger.tracks_of(keep),
                    self._ledger.tracks_of(gone),
                    value,
                    len(table),
                    turns,
                )
            )
        probability = self._memory.settings.join_map.probability(value, len(table), turns)
        if len(table) >= settings.least_pairs and probability >= self._threshold:
            best = max(table.values(), key=lambda pair: pair.logit)
            self._write(keep, gone, self._numbers(probability, best, keep, gone, bridge), at_s)

    def _latest(self, identity: IdentityId, count: int) -> list[Track]:
        return [self._memory.tracks[key] for key in self._memory.latest(identity)[:count]]

    def _compare(
        self, ours: list[Track], theirs: list[Track], at_s: float
    ) -> dict[tuple[TrackKey, TrackKey], _Pair]:
        """What is known about every pair; those whose crops are gone are left out."""
        model = self._memory.settings.decision
        found: dict[tuple[TrackKey, TrackKey], _Pair] = {}
        for one in ours:
            known = self._pairs.odds(one.key)
            logits = self._pairs.fresh_logits(one, theirs)
            for other, logit in zip(theirs, logits, strict=True):
                if logit is None:
                    continue
                if other.key in known:
                    odds, terms = known[other.key]
                else:
                    shared = 0.0
                    if model.uses_neighbours:
                        shared = self._pairs.graph.similarity(one.key, other.key)
                    terms = self._time.passing(one, other, at_s=at_s)
                    odds = model.log_odds(logit, shared, terms.cooccurrence, terms.transition)
                found[one.key, other.key] = _Pair(logit, odds, terms)
        return found

    def _numbers(
        self, probability: float, best: _Pair, keep: IdentityId, gone: IdentityId, bridge: Bridge
    ) -> Numbers:
        """The figures behind a join; the runner-up is whom else the track looked like."""
        rest = [
            (one, self._links.probability(other_value))
            for one, other_value in bridge.others
            if self._ledger.resolve(one) not in (keep, gone)
        ]
        return Numbers(
            probability=probability,
            appearance=LinkMap().probability(best.logit),
            cooccurrence=best.terms.weight,
            transition=None if best.terms.transition is None else math.exp(best.terms.transition),
            runner_up_identity_id=rest[0][0] if rest else None,
            runner_up_probability=rest[0][1] if rest else None,
        )

    def _write(self, keep: IdentityId, gone: IdentityId, numbers: Numbers, at_s: float) -> None:
        """One row per track that moves; what else is remembered about them stays."""
        for track in self._memory.tracks_of(gone):
            holding = self._ledger.holding(track.key)
            self._ledger.assign(
                track.key,
                keep,
                numbers,
                at_s=at_s,
                seen_at_s=track.seen_at_s,
                reason="merged",
                final=holding is not None and holding.final,
            )
        self._memory.regrouped()
        for key in self._memory.latest(keep)[self._memory.settings.identity_tracks :]:
            self._pairs.forget(key)
