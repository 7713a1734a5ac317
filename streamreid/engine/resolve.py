"""One point of the decision grid: score what is new, group what waits, write what changed."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from streamreid.association.assignment import Problem, associate, link_values
from streamreid.association.calibration import logit, sigmoid, threshold_for
from streamreid.association.constraints import BoolArray, conflict_table, conflicts
from streamreid.association.ledger import Ledger, Numbers
from streamreid.engine.believed import believed_matches
from streamreid.engine.events import TransitionUpdate
from streamreid.engine.labels import choose_labels
from streamreid.engine.pairs import PairScores
from streamreid.engine.settings import EngineSettings
from streamreid.engine.timing import NO_TERMS, TimeEvidence, TimeTerms
from streamreid.engine.tracks import Track
from streamreid.gallery.scorer import Scorer
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


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """Everything known about a pair when one of its tracks became final; what fits are made of.

    Attributes:
        track: The track that became final.
        other: The track it was compared with.
        logit: Calibrated appearance logit.
        shared: Neighbourhood similarity, in [0, 1].
        terms: What time says, whether trusted or not.
    """

    track: TrackKey
    other: TrackKey
    logit: float
    shared: float
    terms: TimeTerms


class Resolver:
    """Turns the tracks and their pair scores into ledger rows, one grid point after the other."""

    def __init__(
        self,
        scorer: Scorer,
        tracks: dict[TrackKey, Track],
        pairs: PairScores,
        ledger: Ledger,
        settings: EngineSettings,
        witness: Callable[[PairEvidence], None] | None = None,
    ) -> None:
        self._scorer = scorer
        self._tracks = tracks
        self._pairs = pairs
        self.ledger = ledger
        self._settings = settings
        self._witness = witness
        self._waiting: dict[TrackKey, Track] = {}
        self.time = TimeEvidence(settings.time, settings.overlaps)
        self._disjoint = settings.disjoint
        self.forgotten_before_s = -math.inf
        self.violations = 0
        self._unlisted: list[Track] = []
        self._threshold = (
            logit(threshold_for(settings.false_merge_rate, settings.thresholds))
            - settings.link_offset
        ) / settings.link_slope

    def add(self, track: Track) -> None:
        """A track began; it waits for a final decision."""
        self._waiting[track.key] = track

    def reconsider(self, track: Track) -> None:
        """An operator fixed a track's identity, or gave it back to the engine (undo)."""
        holding = self.ledger.holding(track.key)
        track.final = holding is not None and holding.final
        if track.final:
            self._waiting.pop(track.key, None)
        else:
            self._waiting[track.key] = track

    def restore(self, transitions: tuple[TransitionUpdate, ...]) -> None:
        """Take over what was learned, and score again what the time terms need to know.

        Args:
            transitions: Learned transition times.
        """
        self.time.restore(transitions)
        settings = self._settings
        final = [track for track in self._tracks.values() if track.final and track.ended]
        latest_s = max((track.seen_at_s for track in final), default=0.0)
        needed_s = 0.0
        if settings.time.cooccurrence:
            needed_s = settings.lag_s + 2 * settings.time.tau_s
        if settings.decision.uses_neighbours:
            needed_s = settings.max_age_s
        self._unlisted = [
            track
            for track in final
            if track.seen_at_s > latest_s - needed_s and track.key in self._stand_ins(track.key)
        ]

    def waiting(self) -> list[Track]:
        """Tracks without a final decision, in order of their start."""
        return sorted(self._waiting.values(), key=lambda track: (track.started_at_s, track.key))

    def due_s(self, track: Track) -> float:
        """Event time at which a track's decision becomes final; infinity while it is open."""
        if not track.ended:
            return math.inf
        return track.seen_at_s + self._settings.lag_s - self._settings.delivery_s

    def earliest_due_s(self) -> float:
        """The next of these times."""
        return min((self.due_s(track) for track in self._waiting.values()), default=math.inf)

    def resolve(self, at_s: float, *, again: bool = False) -> None:
        """Decide about every waiting track that began before `at_s`.

        Args:
            at_s: Event time of the grid point, epoch seconds.
            again: The decisions of this point are in the ledger already: only gather the evidence.
        """
        waiting = [track for track in self.waiting() if track.started_at_s < at_s]
        self._disjoint = self._settings.disjoint | self.time.never_at_once(at_s=at_s)
        self._list_again()
        changed = [track for track in waiting if self._is_stale(track, at_s)]
        for track in changed:
            if track.needs_scoring(self._settings.crops_per_track):
                self.score(track)
        for track in changed:
            self._refresh(track, at_s)
        if again:
            return
        scored = [track for track in waiting if track.scored_count]
        if scored:
            self._write(self._group(scored), at_s)
        for track in waiting:
            if self.due_s(track) < at_s:
                self._settle(track, at_s)
        self._prune(at_s)

    def _list_again(self) -> None:
        """After a restart: give recent final tracks back their place among the neighbours."""
        for track in sorted(self._unlisted, key=lambda track: (track.seen_at_s, track.key)):
            self.score(track)
            self.time.listen(track, self._chances(track), self._tracks)
            track.listed = True
            self._drop_final_pairs(track)
        self._unlisted = []

    def _chances(self, track: Track) -> dict[TrackKey, float]:
        """Appearance probability with every track it was compared with."""
        return {key: sigmoid(value) for key, value in self._pairs.neighbours(track.key).items()}

    def _drop_final_pairs(self, track: Track) -> None:
        """Forget what nothing depends on any more: pairs of two final tracks."""
        for other in tuple(self._pairs.neighbours(track.key)):
            if self._tracks[other].final:
                self._pairs.drop_pair(track.key, other)

    def _is_stale(self, track: Track, at_s: float) -> bool:
        """Whether the evidence about a waiting track is worth bringing up to date."""
        if track.needs_scoring(self._settings.crops_per_track):
            return True
        return self.due_s(track) < at_s or (track.ended and not track.listed)

    def _refresh(self, track: Track, at_s: float) -> None:
        """Bring the evidence about a waiting track up to date."""
        if track.ended:
            self.time.listen(track, self._chances(track), self._tracks)
            track.listed = True
        others = [self._tracks[key] for key in self._pairs.neighbours(track.key)]
        settled = self.due_s(track) < at_s
        model = self._settings.decision
        for other, terms in zip(others, self.time.terms(track, others, at_s=at_s), strict=True):
            logit = self._pairs.neighbours(track.key)[other.key]
            shared = 0.0
            if model.uses_neighbours or self._witness is not None:
                shared = self._pairs.graph.similarity(track.key, other.key)
            if settled and self._witness is not None:
                self._witness(PairEvidence(track.key, other.key, logit, shared, terms))
            trusted = self.time.trusted(terms, track.camera_id, other.camera_id)
            odds = model.log_odds(logit, shared, trusted.cooccurrence, trusted.transition)
            self._pairs.set_terms(track.key, other.key, trusted, odds)

    def score(self, track: Track) -> None:
        """Compare a track with the tracks its shortlist names and the identities they belong to."""
        settings = self._settings
        query = track.best(settings.crops_per_track)
        found = self._scorer.candidates(query, settings.shortlist, exclude_tracks=(track.key,))
        # A scorer that audits itself may name more entries than asked for; that must not end here.
        grown = max(1.0, len(found.entry_ids) / settings.shortlist)
        keys: dict[TrackKey, None] = dict.fromkeys(self._pairs.neighbours(track.key))
        for number in found.tracks:
            key = TrackKey(int(number))
            if len(keys) >= settings.max_candidates * grown:
                break
            keys |= dict.fromkeys(self._stand_ins(key))
        rivals = [self._tracks[key] for key in keys if key in self._tracks and key != track.key]
        self._pairs.compare(track, rivals)
        track.scored_with = query
        track.scored_count = len(track.entries)

    def _stand_ins(self, key: TrackKey) -> list[TrackKey]:
        """Whom a track is compared with for one on its shortlist: that person's latest tracks.

        Only the latest: neighbourhoods are made for a handful of tracks of each person, and fall
        apart when somebody has come by more often than lists are long.
        """
        holding = self.ledger.holding(key)
        if holding is None or not holding.final:
            return [key]
        return self._latest(holding.identity_id)[: self._settings.identity_tracks]

    def _latest(self, identity: IdentityId) -> list[TrackKey]:
        """The final tracks of an identity, latest first."""
        tracks = [self._tracks[key] for key in self.ledger.tracks_of(identity)]
        final = [track for track in tracks if track.final]
        final.sort(key=lambda track: (-track.seen_at_s, -track.key))
        return [track.key for track in final]

    def _group(self, waiting: list[Track]) -> Grouping:
        rivals: dict[TrackKey, None] = {}
        for track in waiting:
            for key in self._pairs.neighbours(track.key):
                other = self._tracks[key]
                if other.final:
                    rivals[key] = None
        nodes = [self._tracks[key] for key in rivals] + waiting
        nodes.sort(key=lambda track: (track.started_at_s, track.key))
        index = {track.key: number for number, track in enumerate(nodes)}
        anchor = np.full(len(nodes), -1, dtype=np.int64)
        for number, track in enumerate(nodes):
            if track.final:
                anchor[number] = self._identity(track.key)
        problem = Problem(
            log_odds=self._log_odds(waiting, index),
            anchor=anchor,
            conflict=self._conflicts(waiting, nodes),
        )
        self._forbid_unseen(problem, nodes, waiting, index)
        linkage = self._settings.linkage
        member = associate(problem, threshold=self._threshold, linkage=linkage)
        value, columns = link_values(problem, member, linkage)
        return Grouping(nodes, [index[track.key] for track in waiting], member, value, columns)

    def _log_odds(self, waiting: list[Track], index: dict[TrackKey, int]) -> Float64Array:
        """Log odds of every waiting track with every node, NaN where they were not compared."""
        table = np.full((len(waiting), len(index)), np.nan)
        for row, track in enumerate(waiting):
            for key, (odds, _) in self._pairs.odds(track.key).items():
                there = index.get(key)
                if there is not None:
                    table[row, there] = odds
        return table

    def _conflicts(self, tracks: list[Track], others: list[Track]) -> BoolArray:
        """Which of these tracks and others must be two people."""
        if not self._settings.places:
            return np.zeros((len(tracks), len(others)), dtype=np.bool_)
        spans, rivals = ([track.span() for track in group] for group in (tracks, others))
        return conflict_table(spans, rivals, self._disjoint)

    def _forbid_unseen(
        self,
        problem: Problem,
        nodes: list[Track],
        waiting: list[Track],
        index: dict[TrackKey, int],
    ) -> None:
        """Carry over conflicts with tracks of an identity that are not nodes themselves."""
        since_s = waiting[0].started_at_s
        members: dict[int, int] = {}
        for number, anchor in enumerate(problem.anchor.tolist()):
            if anchor >= 0:
                members.setdefault(anchor, number)
        for identity, number in members.items():
            unseen = [
                self._tracks[key]
                for key in self.ledger.tracks_of(IdentityId(identity))
                if key not in index and self._tracks[key].seen_at_s >= since_s
            ]
            if unseen:
                problem.conflict[:, number] |= self._conflicts(waiting, unseen).any(axis=1)

    def _write(self, grouping: Grouping, at_s: float) -> None:
        labels = choose_labels(
            [track.key for track in grouping.nodes], grouping.member, self.ledger, at_s
        )
        first: dict[int, int] = {}
        for number, group in enumerate(grouping.member.tolist()):
            first.setdefault(group, number)
        for row, number in enumerate(grouping.waiting):
            track = grouping.nodes[number]
            group = int(grouping.member[number])
            final = self.due_s(track) < at_s
            before = self.ledger.holding(track.key)
            if before is not None and before.identity_id == labels[group] and not final:
                self.ledger.seen(labels[group], track.seen_at_s)
                continue
            founder = first[group] == number
            reason = "new" if founder else "matched"
            if before is not None and before.identity_id != labels[group]:
                reason = "revised"
            self.ledger.assign(
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
        chance = [self._chance(float(value)) for value in grouping.value[row]]
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

    def _chance(self, value: float) -> float:
        """Probability of a link from its linkage value."""
        if value == -math.inf:
            return 0.0
        return sigmoid(self._settings.link_slope * value + self._settings.link_offset)

    def is_in_two_places(self, track: Track) -> bool:
        """Whether a track's identity holds another track that it now overlaps with."""
        holding = self.ledger.holding(track.key)
        if holding is None or not self._settings.places:
            return False
        span = track.span()
        return any(
            conflicts(span, self._tracks[key].span(), self._disjoint)
            for key in self.ledger.tracks_of(holding.identity_id)
        )

    def _identity(self, track: TrackKey) -> IdentityId:
        holding = self.ledger.holding(track)
        if holding is None:
            raise KeyError(f"track {track} is final but holds no identity")
        return holding.identity_id

    def _settle(self, track: Track, at_s: float) -> None:
        """The decision about a track is final: nothing but constraints and links to it remain."""
        del self._waiting[track.key]
        if self.ledger.holding(track.key) is None:
            del self._tracks[track.key]
            return
        track.final = True
        self._learn(track, at_s)
        self.violations += self.is_in_two_places(track)
        self._drop_final_pairs(track)
        for key in self._latest(self._identity(track.key))[self._settings.identity_tracks :]:
            self._pairs.forget(key)

    def _learn(self, track: Track, at_s: float) -> None:
        """Teach the time terms the pairs that choose each other by appearance."""
        found = believed_matches(track, self._tracks, self._settings.time)
        strangers = [
            self._tracks[key]
            for key, value in self._pairs.neighbours(track.key).items()
            if value < 0
        ]
        for one in found:
            others = [other for other in strangers if other.key != one.match.key]
            self.time.learn(track, one.match, others, belief=one.belief, at_s=at_s)

    def _prune(self, at_s: float) -> None:
        """Forget final tracks too old to be linked to that overlap with nothing that waits."""
        earliest = min((track.started_at_s for track in self._waiting.values()), default=at_s)
        before_s = min(at_s - self._settings.max_age_s, earliest)
        self.time.cooccurrence.expire(earliest - self._settings.time.tau_s)
        self.forgotten_before_s = max(self.forgotten_before_s, before_s)
        # Insertion order follows time closely, so only the head of the dictionary is looked at.
        for key in tuple(islice(self._tracks, 16)):
            track = self._tracks[key]
            if track.final and track.ended and track.seen_at_s < before_s:
                self._pairs.forget(key)
                self.ledger.forget(key)
                del self._tracks[key]
