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
        for number, group in enumerate(grouping.member.tolist()):
            first.setdefault(group, number)
        for row, number in enumerate(grouping.waiting):
            track = grouping.nodes[number]
            group = int(grouping.member[number])
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
                self._numbers(grouping, row, labels, founder),
                at_s=at_s,
                seen_at_s=track.seen_at_s,
                reason=reason,
                final=final,
            )

    def _numbers(
        self, grouping: Grouping, row: int, labels: dict[int, IdentityId], founder: bool
    ) -> Numbers:
        """The figures behind the decision about one waiting track."""
        number = grouping.waiting[row]
        track = grouping.nodes[number]
        own = int(np.flatnonzero(grouping.columns == grouping.member[number])[0])
        chance = [self._links.probability(float(value)) for value in grouping.value[row]]
        others = [column for column in range(len(chance)) if column != own and chance[column] > 0]
        runner_up = max(others, key=lambda column: (chance[column], -column), default=None)
        best = self._best_pair(grouping, number)
        terms = NO_TERMS if best is None else self._pairs.odds(track.key)[best][1]
        probability = chance[own]
        if founder:
            probability = 1.0 - (chance[runner_up] if runner_up is not None else 0.0)
        return Numbers(
            probability=probability,
            appearance=None if best is None else self._pairs.probability(track.key, best),
            cooccurrence=terms.weight,
            transition=None if terms.transition is None else math.exp(terms.transition),
            runner_up_identity_id=(
                None if runner_up is None else labels[int(grouping.columns[runner_up])]
            ),
            runner_up_probability=None if runner_up is None else chance[runner_up],
        )

    def _best_pair(self, grouping: Grouping, number: int) -> TrackKey | None:
        """The track of the chosen identity that looks most like this one."""
        row = self._pairs.neighbours(grouping.nodes[number].key)
        group = grouping.member[number]
        keys = [
            track.key
            for other, track in enumerate(grouping.nodes)
            if other != number and grouping.member[other] == group and track.key in row
        ]
        return max(keys, key=lambda key: (row[key], -key), default=None)
