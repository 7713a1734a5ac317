"""One point of the decision grid: score what is new, group what waits, settle what is due."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from streamreid.association.calibration import LinkMap, threshold_for
from streamreid.engine.events import Comparisons, TransitionUpdate
from streamreid.engine.evidence import Evidence, PairEvidence
from streamreid.engine.grouping import Grouping, group_tracks
from streamreid.engine.joining import Bridge, Joiner, JoinEvidence, bridges_of
from streamreid.engine.labels import choose_labels
from streamreid.engine.memory import Memory
from streamreid.engine.pairs import PairScores
from streamreid.engine.rows import RowWriter
from streamreid.engine.timing import TimeEvidence
from streamreid.engine.tracks import Track
from streamreid.gallery.scorer import Scorer
from streamreid.types import TrackKey


class Resolver:
    """Turns the tracks and their pair scores into ledger rows, one grid point after the other."""

    def __init__(
        self,
        scorer: Scorer,
        memory: Memory,
        pairs: PairScores,
        witness: Callable[[PairEvidence], None] | None = None,
        join_witness: Callable[[JoinEvidence], None] | None = None,
    ) -> None:
        settings = memory.settings
        self._memory = memory
        self._pairs = pairs
        self._settings = settings
        self._evidence = Evidence(scorer, memory, pairs, witness)
        self._waiting: dict[TrackKey, Track] = {}
        self.forgotten_before_s = -math.inf
        self.violations = 0
        links = LinkMap(settings.link_slope, settings.link_offset)
        chance = threshold_for(settings.false_merge_rate, settings.thresholds)
        self._threshold = links.value(chance)
        self._rows = RowWriter(memory.ledger, pairs, links)
        self._joiner = Joiner(memory, self._evidence, pairs, links, chance, join_witness)

    @property
    def time(self) -> TimeEvidence:
        """Both time terms."""
        return self._evidence.time

    def add(self, track: Track) -> None:
        """A track began; it waits for a final decision."""
        self._waiting[track.key] = track

    def reconsider(self, track: Track) -> None:
        """An operator fixed a track's identity, or gave it back to the engine (undo)."""
        holding = self._memory.ledger.holding(track.key)
        track.final = holding is not None and holding.final
        if track.final:
            self._waiting.pop(track.key, None)
        else:
            self._waiting[track.key] = track
        self._memory.regrouped()

    def restore(
        self,
        transitions: tuple[TransitionUpdate, ...],
        compared: Mapping[TrackKey, Sequence[tuple[TrackKey, float]]],
    ) -> None:
        """Take over what was learned, and whom final tracks were compared with.

        Args:
            transitions: Learned transition times.
            compared: Other tracks and what the pairs scored, by track.
        """
        self.time.restore(transitions)
        self._memory.regrouped()
        self._evidence.restore(compared)

    def drain(self) -> tuple[Comparisons, ...]:
        """Whom the tracks were compared with that became final since the last call."""
        return self._evidence.drain()

    def waiting(self) -> list[Track]:
        """Tracks without a final decision, in order of their start."""
        return sorted(self._waiting.values(), key=lambda track: track.order)

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
        self._memory.disjoint = self._settings.disjoint | self.time.never_at_once(at_s=at_s)

        def is_due(track: Track) -> bool:
            return self.due_s(track) < at_s

        self._evidence.gather(waiting, at_s, is_due)
        if again:
            return
        due = [track for track in waiting if is_due(track)]
        scored = [track for track in waiting if track.scored_count]
        bridges: list[Bridge] = []
        if scored:
            grouping = group_tracks(scored, self._memory, self._pairs, self._threshold)
            bridges = self._write(grouping, at_s, is_due, {track.key for track in due})
        settled = [track for track in due if self._settle(track, at_s)]
        self._joiner.join(bridges, at_s)
        for track in settled:
            self._evidence.drop_final_pairs(track)
            self._keep_latest(track)
        self._prune(at_s)

    def _write(
        self,
        grouping: Grouping,
        at_s: float,
        is_due: Callable[[Track], bool],
        due: set[TrackKey],
    ) -> list[Bridge]:
        """Write what changed; returns which tracks look like a second identity."""
        tracks = [track.key for track in grouping.nodes]
        labels = choose_labels(tracks, grouping.member, self._memory.ledger, at_s)
        self._rows.write(grouping, labels, at_s, is_due)
        if not due or not self._settings.join.tries:
            return []
        least = self._threshold - self._settings.join.bridge
        return bridges_of(grouping, labels, due, self._memory, least)

    def _settle(self, track: Track, at_s: float) -> bool:
        """The decision about a track is final: nothing but constraints and links to it remain.

        Returns:
            False when nothing was ever decided about it, and it is forgotten.
        """
        del self._waiting[track.key]
        if self._memory.ledger.holding(track.key) is None:
            del self._memory.tracks[track.key]
            return False
        track.final = True
        self._memory.settled(track)
        self._evidence.settled(track)
        self._evidence.learn(track, at_s)
        self.violations += self._memory.is_in_two_places(track)
        return True

    def _keep_latest(self, track: Track) -> None:
        """Older tracks of the same person are no longer compared with anybody."""
        latest = self._memory.latest(self._memory.identity(track.key))
        for key in latest[self._settings.identity_tracks :]:
            self._pairs.forget(key)

    def _prune(self, at_s: float) -> None:
        """Forget final tracks too old to be linked to that overlap with nothing that waits."""
        earliest = min((track.started_at_s for track in self._waiting.values()), default=at_s)
        before_s = min(at_s - self._settings.max_age_s, earliest)
        self.time.cooccurrence.expire(earliest - self._settings.time.tau_s)
        self.forgotten_before_s = max(self.forgotten_before_s, before_s)
        # Insertion order follows time closely, so only the head of the dictionary is looked at.
        for key in tuple(islice(self._memory.tracks, 16)):
            track = self._memory.tracks[key]
            if track.final and track.ended and track.seen_at_s < before_s:
                self._pairs.forget(key)
                self._memory.forget(key)
