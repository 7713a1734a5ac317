"""Gathers what is known about pairs of tracks: compares them, asks what time says, teaches it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streamreid.association.calibration import sigmoid
from streamreid.engine.believed import Believed, believed_matches
from streamreid.engine.events import Comparisons
from streamreid.engine.memory import Memory
from streamreid.engine.pairs import PairScores
from streamreid.engine.timing import TimeEvidence, TimeTerms
from streamreid.engine.tracks import Track
from streamreid.gallery.scorer import Scorer
from streamreid.types import TrackKey


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


class Evidence:
    """Fills the table of pairs, track by track.

    Args:
        scorer: Compares crops.
        memory: Everybody who is remembered.
        pairs: The table.
        witness: Told everything about every pair whose track becomes final.
    """

    def __init__(
        self,
        scorer: Scorer,
        memory: Memory,
        pairs: PairScores,
        witness: Callable[[PairEvidence], None] | None = None,
    ) -> None:
        self._scorer = scorer
        self._memory = memory
        self._pairs = pairs
        self._witness = witness
        self.time = TimeEvidence(memory.settings.time, memory.settings.overlaps)
        self._settled: list[Comparisons] = []

    def restore(self, compared: Mapping[TrackKey, Sequence[tuple[TrackKey, float]]]) -> None:
        """After a restart: give final tracks back their place among the neighbours.

        Args:
            compared: Whom final tracks were compared with, and what the pairs scored; to score
                them all again would take minutes. Tracks whose crops are gone stay out.
        """
        tracks = self._memory.tracks
        final = [track for track in tracks.values() if track.final and track.ended]
        for track in sorted(final, key=lambda track: (track.seen_at_s, track.key)):
            track.scored_with = track.best(self._memory.settings.crops_per_track)
            for key, score in compared.get(track.key, ()) if track.entries else ():
                other = tracks.get(key)
                if other is not None and (other.entries or not other.final):
                    self._pairs.keep(track, other, score)
            self.time.listen(track, self._chances(track), tracks)
            self.drop_final_pairs(track)
        for track in final:
            if track.key not in self._memory.stand_ins(track.key):
                self._pairs.forget(track.key)

    def gather(self, waiting: list[Track], at_s: float, is_due: Callable[[Track], bool]) -> None:
        """Bring the evidence about waiting tracks up to date, where that is worth it.

        Args:
            waiting: Tracks without a final decision, in order of their start.
            at_s: Event time now, epoch seconds.
            is_due: Whether the decision about a track is final now.
        """
        crops = self._memory.settings.crops_per_track
        changed = [
            track
            for track in waiting
            if track.needs_scoring(crops) or is_due(track) or (track.ended and not track.listed)
        ]
        for track in changed:
            if track.needs_scoring(crops):
                self.score(track, at_s)
        for track in changed:
            self._refresh(track, at_s, settled=is_due(track))

    def score(self, track: Track, at_s: float) -> None:
        """Compare a track with the tracks its shortlist names and the identities they belong to.

        Args:
            track: The track.
            at_s: Event time now, epoch seconds; crops that arrived early are no part of it.
        """
        settings = self._memory.settings
        query = track.best(settings.crops_per_track)
        found = self._scorer.candidates(
            query, settings.shortlist, exclude_tracks=(track.key,), before_s=at_s
        )
        # A scorer that audits itself may name more entries than asked for; that must not end here.
        grown = max(1.0, len(found.entry_ids) / settings.shortlist)
        keys: dict[TrackKey, None] = dict.fromkeys(self._pairs.neighbours(track.key))
        for number in found.tracks:
            key = TrackKey(int(number))
            if len(keys) >= settings.max_candidates * grown:
                break
            keys |= dict.fromkeys(self._memory.stand_ins(key))
        tracks = self._memory.tracks
        rivals = [tracks[key] for key in keys if key in tracks and key != track.key]
        self._pairs.compare(track, rivals)
        track.scored_with = query
        track.scored_count = len(track.entries)

    def learn(self, track: Track, at_s: float) -> None:
        """A track is final: teach the time terms the pairs that choose each other by appearance.

        A pair teaches when the second of its tracks is final: once, also with a restart in between.
        """
        tracks = self._memory.tracks
        found = believed_matches(track, tracks, self._memory.settings.time)
        strangers = [
            tracks[key] for key, value in self._pairs.neighbours(track.key).items() if value < 0
        ]
        for one in found:
            if one.match.final:
                others = [other for other in strangers if other.key != one.match.key]
                self.time.learn(track, one.match, others, belief=one.belief, at_s=at_s)
        for other, belief in self._steps(track, found).items():
            self.time.learn_passage(track, tracks[other], strangers, belief=belief, at_s=at_s)

    def _steps(self, track: Track, found: list[Believed]) -> dict[TrackKey, float]:
        """Sightings of the same person right before or after a track, each with how sure looks are.

        These are believed matches between which nothing else of either identity lies, and what the
        track's own identity did before, if the track looks most like a track of that very
        identity. Time had no part in that, so that what is learned does not confirm itself.
        """
        memory = self._memory
        steps = {
            one.match.key: one.belief
            for one in found
            if one.match.final and not self._is_any_between(track, one.match)
        }
        alike, own = track.most_alike(), memory.identity(track.key)
        holding = memory.ledger.holding(alike.track) if alike is not None else None
        if alike is None or holding is None or holding.identity_id != own:
            return steps
        settled = (memory.tracks[key] for key in memory.latest(own))
        before = next((other for other in settled if other.order < track.order), None)
        if before is not None:
            steps[before.key] = max(steps.get(before.key, 0.0), sigmoid(alike.logit))
        return steps

    def _is_any_between(self, one: Track, other: Track) -> bool:
        """Whether a settled track of either one's identity began between the two."""
        memory = self._memory
        first, last = sorted((one, other), key=lambda track: track.order)
        for identity in {memory.identity(track.key) for track in (one, other)}:
            for key in memory.latest(identity):
                track = memory.tracks[key]
                if track.seen_at_s < first.started_at_s:
                    break
                if first.order < track.order < last.order:
                    return True
        return False

    def settled(self, track: Track) -> None:
        """A track became final: note whom it was compared with, for the store."""
        self._settled.append(Comparisons(track.key, self._pairs.scores(track.key)))

    def drain(self) -> tuple[Comparisons, ...]:
        """What was noted since the last call."""
        found = tuple(self._settled)
        self._settled.clear()
        return found

    def drop_final_pairs(self, track: Track) -> None:
        """Forget what nothing depends on any more: pairs of two final tracks."""
        for other in tuple(self._pairs.neighbours(track.key)):
            if self._memory.tracks[other].final:
                self._pairs.drop_pair(track.key, other)

    def _chances(self, track: Track) -> dict[TrackKey, float]:
        """Appearance probability with every track it was compared with."""
        return {key: sigmoid(value) for key, value in self._pairs.neighbours(track.key).items()}

    def _refresh(self, track: Track, at_s: float, *, settled: bool) -> None:
        """Bring the evidence about a waiting track up to date."""
        tracks = self._memory.tracks
        if track.ended:
            self.time.listen(track, self._chances(track), tracks)
            track.listed = True
        others = [tracks[key] for key in self._pairs.neighbours(track.key)]
        model = self._memory.settings.decision
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
