"""Groups the tracks that wait with one another and with the identities they may join."""

from dataclasses import dataclass

import numpy as np

from streamreid.association.assignment import Problem, associate, link_values
from streamreid.engine.memory import Memory
from streamreid.engine.pairs import PairScores
from streamreid.engine.tracks import Track
from streamreid.types import Float64Array, IdentityId, Int64Array, TrackKey


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Result of one association.

    Attributes:
        nodes: The tracks, waiting ones and those of identities they may join.
        waiting: Which of them may still change, indices into `nodes`.
        member: Group of every node, shape `(N,)`.
        value: Linkage value of every waiting track with every group, shape `(W, G)`.
        columns: Group number of every column of `value`.
    """

    nodes: list[Track]
    waiting: list[int]
    member: Int64Array
    value: Float64Array
    columns: Int64Array


def group_tracks(
    waiting: list[Track], memory: Memory, pairs: PairScores, threshold: float
) -> Grouping:
    """Decide which waiting tracks are one person, and which identity that is.

    Args:
        waiting: Tracks without a final decision that were scored, in order of their start.
        memory: Everybody who is remembered.
        pairs: Log odds of the pairs that were compared.
        threshold: Linkage value from which two groups are one person.
    """
    rivals: dict[TrackKey, None] = {}
    for track in waiting:
        for key in pairs.neighbours(track.key):
            if memory.tracks[key].final:
                rivals[key] = None
    nodes = [memory.tracks[key] for key in rivals] + waiting
    nodes.sort(key=lambda track: track.order)
    index = {track.key: number for number, track in enumerate(nodes)}
    anchor = np.full(len(nodes), -1, dtype=np.int64)
    for number, track in enumerate(nodes):
        if track.final:
            anchor[number] = memory.identity(track.key)
    problem = Problem(
        log_odds=_log_odds(waiting, index, pairs),
        anchor=anchor,
        conflict=memory.conflicts(waiting, nodes),
    )
    _forbid_unseen(problem, waiting, index, memory)
    linkage = memory.settings.linkage
    member = associate(problem, threshold=threshold, linkage=linkage)
    value, columns = link_values(problem, member, linkage)
    return Grouping(nodes, [index[track.key] for track in waiting], member, value, columns)


def _log_odds(waiting: list[Track], index: dict[TrackKey, int], pairs: PairScores) -> Float64Array:
    """Log odds of every waiting track with every node, NaN where they were not compared."""
    table = np.full((len(waiting), len(index)), np.nan)
    for row, track in enumerate(waiting):
        for key, (odds, _) in pairs.odds(track.key).items():
            there = index.get(key)
            if there is not None:
                table[row, there] = odds
    return table


def _forbid_unseen(
    problem: Problem, waiting: list[Track], index: dict[TrackKey, int], memory: Memory
) -> None:
    """Carry over conflicts with tracks of an identity that are not nodes themselves."""
    since_s = waiting[0].started_at_s
    members: dict[int, int] = {}
    for number, anchor in enumerate(problem.anchor.tolist()):
        if anchor >= 0:
            members.setdefault(anchor, number)
    for identity, number in members.items():
        unseen = [
            track
            for track in memory.tracks_of(IdentityId(identity))
            if track.key not in index and track.seen_at_s >= since_s
        ]
        if unseen:
            problem.conflict[:, number] |= memory.conflicts(waiting, unseen).any(axis=1)
