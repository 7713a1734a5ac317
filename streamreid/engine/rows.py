"""Writes what a grouping changed as ledger rows, each with the figures behind it."""

import math
from collections.abc import Callable

import numpy as np

from streamreid.association.calibration import LinkMap
from streamreid.association.ledger import Ledger, Numbers
from streamreid.engine.grouping import Grouping
from streamreid.engine.pairs import PairScores
from streamreid.engine.timing import NO_TERMS
from streamreid.engine.tracks import Track
from streamreid.types import IdentityId, TrackKey


class RowWriter:
    """Turns groupings into ledger rows.

    Args:
        ledger: Where the rows go.
        pairs: What is known about pairs of tracks.
        links: From linkage values to probabilities.
    """

    def __init__(self, ledger: Ledger, pairs: PairScores, links: LinkMap) -> None:
        self._ledger = ledger
        self._pairs = pairs
        self._links = links

    def write(
        self,
        grouping: Grouping,
        labels: dict[int, IdentityId],
        at_s: float,
        is_due: Callable[[Track], bool],
    ) -> None:
        """Write one row for every waiting track whose identity changed or becomes final.

        Args:
            grouping: Who belongs together.
            labels: Identity of every group.
            at_s: Event time of the decision, epoch seconds.
            is_due: Whether the decision about a track is final now.
        """
        first: dict[int, int] = {}
        group_of: dict[TrackKey, int] = {}
        for number, group in enumerate(grouping.member.tolist()):
            first.setdefault(group, number)
            group_of[grouping.nodes[number].key] = group
        for row, number in enumerate(grouping.waiting):
            track = grouping.nodes[number]
            group = group_of[track.key]
            final = is_due(track)
            before = self._ledger.holding(track.key)
            if before is not None and before.identity_id == labels[group] and not final:
                self._ledger.seen(labels[group], track.seen_at_s)
                continue
            founder = first[group] == number
            reason = "new" if founder else "matched"
            if before is not None and before.identity_id != labels[group]:
                reason = "revised"
            self._ledger.assign(
                track.key,
                labels[group],
                self._numbers(grouping, row, labels, founder, self._best_pair(track.key, group_of)),
                at_s=at_s,
                seen_at_s=track.seen_at_s,
                reason=reason,
                final=final,
            )

    def _numbers(
        self,
        grouping: Grouping,
        row: int,
        labels: dict[int, IdentityId],
        founder: bool,
        best: TrackKey | None,
    ) -> Numbers:
        """The figures behind the decision about one waiting track."""
        number = grouping.waiting[row]
        track = grouping.nodes[number].key
        own = grouping.columns == grouping.member[number]
        value = grouping.value[row]
        others = np.where(own, -np.inf, value)
        runner_up = int(others.argmax())
        second = self._links.probability(float(others[runner_up]))
        terms = NO_TERMS if best is None else self._pairs.odds(track)[best][1]
        probability = 1.0 - second if founder else self._links.probability(float(value[own][0]))
        return Numbers(
            probability=probability,
            appearance=None if best is None else self._pairs.probability(track, best),
            cooccurrence=terms.weight,
            transition=None if terms.transition is None else math.exp(terms.transition),
            runner_up_identity_id=labels[int(grouping.columns[runner_up])] if second else None,
            runner_up_probability=second or None,
        )

    def _best_pair(self, track: TrackKey, group_of: dict[TrackKey, int]) -> TrackKey | None:
        """The track of the chosen identity that looks most like this one."""
        row = self._pairs.neighbours(track)
        keys = [key for key in row if group_of.get(key) == group_of[track]]
        return max(keys, key=lambda key: (row[key], -key), default=None)
