"""The whole live decision as one object: events in, ledger rows out, no input or output."""

import math
from collections.abc import Callable

from streamreid.association.ledger import ENGINE, Ledger
from streamreid.engine.commands import Corrections
from streamreid.engine.events import (
    CropAdded,
    Decision,
    Event,
    OperatorCommand,
    Outcome,
    RestoredState,
    RestoredTrack,
    TrackSeen,
)
from streamreid.engine.evidence import PairEvidence
from streamreid.engine.inbox import Inbox, TrackEvent, event_time_s, events_of
from streamreid.engine.joining import JoinEvidence
from streamreid.engine.memory import Memory
from streamreid.engine.pairs import PairScores
from streamreid.engine.resolve import Resolver
from streamreid.engine.settings import EngineSettings
from streamreid.engine.tracks import Entry, Track
from streamreid.gallery.scorer import Scorer
from streamreid.types import CropKey, IdentityId, TrackKey


class Engine:
    """Decides which track belongs to which identity.

    Events may arrive late and in any order within `settings.delivery_s`: they are put into the
    order of their own time first, and everything after that is a pure function of that order: the
    ledger is the same, row by row. What comes even later counts from then on.
    Decisions are made on a grid of event time (`settings.step_s`); tracks that wait there are
    assigned together.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        settings: EngineSettings,
        witness: Callable[[PairEvidence], None] | None = None,
        join_witness: Callable[[JoinEvidence], None] | None = None,
    ) -> None:
        self._settings = settings
        self._inbox = Inbox()
        self._tracks: dict[TrackKey, Track] = {}
        self._ledger = Ledger()
        self._memory = Memory(self._tracks, self._ledger, settings)
        pairs = PairScores(scorer, settings)
        self._resolver = Resolver(scorer, self._memory, pairs, witness, join_witness)
        self._corrections = Corrections(self._ledger, self._tracks, settings.disjoint)
        self._watermark_s = -math.inf
        self._step = -(2**62)
        self._latest_s = -math.inf
        self._dirty = False
        self._resume_s = -math.inf
        self.late_events = 0

    def observe(self, event: Event, now_s: float) -> Outcome:
        """Take in one event; safe to repeat.

        Args:
            event: What happened.
            now_s: Time up to which events have arrived, give or take `delivery_s`; epoch seconds.

        Returns:
            What changed.
        """
        if isinstance(event, OperatorCommand):
            self._advance(now_s - self._settings.delivery_s)
            return self.correct(event, now_s)
        self._inbox.push(event)
        return self.tick(now_s)

    def correct(self, command: OperatorCommand, at_s: float) -> Outcome:
        """Carry out a correction without letting time pass.

        Args:
            command: What to do.
            at_s: Time of the ledger rows, epoch seconds.

        Raises:
            AssociationError: If the correction is not possible; nothing has changed then.
        """
        for update in command.identities:
            self._ledger.adopt_unknown(update)
        for row in command.known:
            if row.track not in self._tracks:
                self._adopt(row)
        self._adopt_corrected((), command.rows)
        for key in self._corrections.apply(command, at_s):
            self._resolver.reconsider(self._tracks[key])
        self._dirty = True
        return self._outcome()

    def tick(self, now_s: float) -> Outcome:
        """Let time pass: decide what is due.

        Args:
            now_s: Time up to which events have arrived, give or take `delivery_s`; epoch seconds.
        """
        self._advance(now_s - self._settings.delivery_s)
        return self._outcome()

    def close(self, now_s: float) -> Outcome:
        """End of all input: close what is open and decide everything.

        Args:
            now_s: Time of the end, epoch seconds.
        """
        self._advance(math.inf)
        for track in list(self._tracks.values()):
            if not track.ended:
                track.ended = True
                self._dirty = True
        self._advance(math.inf)
        self._watermark_s = now_s
        return self._outcome()

    def restore(self, state: RestoredState) -> None:
        """Continue where an earlier process stopped, as if nothing had happened.

        Final tracks are taken over as they are; what was undecided goes through the inbox again,
        grid point by grid point, so that the same crops are compared at the same moments.

        Args:
            state: What the store remembers.

        Raises:
            RuntimeError: If the engine has already seen events.
        """
        if self._tracks or len(self._inbox):
            raise RuntimeError("restore() must be called before the first event")
        self._ledger.start_after(state.next_identity_id)
        for update in state.identities:
            self._ledger.adopt(update)
        for row in state.tracks:
            self._adopt(row)
        self._adopt_corrected(state.corrected, state.decisions)
        engine_rows = (row for row in state.decisions if row.actor == ENGINE)
        self._resume_s = max((row.decided_at_s for row in engine_rows), default=-math.inf)
        self._corrections.restore(state.decisions)
        compared = {row.track: row.compared for row in state.tracks if row.final}
        self._resolver.restore(state.transitions, compared)
        self._resolver.time.restore_records(state.records)

    def _adopt(self, row: RestoredTrack) -> None:
        """Take over a track as the store remembers it."""
        track = Track(row.track, row.camera_id, row.started_at_s, row.started_at_s, final=row.final)
        self._tracks[row.track] = track
        if row.identity_id is not None:
            self._ledger.adopt_track(
                row.track,
                row.identity_id,
                revision=row.revision,
                final=row.final,
                seen_at_s=row.seen_at_s,
            )
        if not row.final:
            self._resolver.add(track)
        for event in events_of(row):
            if row.final:
                self._take(event)
            else:
                self._inbox.push(event)
        self._memory.regrouped()

    def _adopt_corrected(
        self, identities: tuple[IdentityId, ...], decisions: tuple[Decision, ...]
    ) -> None:
        """Take over about which identities an operator ever decided."""
        by_operators = [row.identity_id for row in decisions if row.actor != ENGINE]
        for identity in (*identities, *by_operators):
            self._ledger.adopt_corrected(identity)

    def __len__(self) -> int:
        """Number of tracks in memory."""
        return len(self._tracks)

    @property
    def violations(self) -> int:
        """Final tracks whose identity was in two places at once; 0 unless events came too late."""
        return self._resolver.violations

    def freeze(self, frozen: bool, at_s: float) -> Outcome:
        """Stop learning transition times, or go on; what was learned stays in use.

        Args:
            frozen: True to stop.
            at_s: Event time now, epoch seconds.
        """
        self._resolver.time.freeze(frozen, at_s=at_s)
        return self._outcome()

    @property
    def frozen(self) -> bool:
        """Whether transition times are kept as they are."""
        return self._resolver.time.transitions.frozen

    def warnings(self) -> list[str]:
        """What an operator should look at, such as a camera whose clock seems to have moved."""
        return self._resolver.time.warnings()

    @property
    def pending(self) -> int:
        """Number of tracks that are not final yet, events in the inbox included."""
        return len(self._inbox) + len(self._resolver.waiting())

    def _outcome(self) -> Outcome:
        decisions, identities = self._ledger.drain()
        time = self._resolver.time
        return Outcome(
            *(decisions, identities, time.drain(), time.drain_records(), self._resolver.drain())
        )

    def _advance(self, watermark_s: float) -> None:
        # What was said before makes no grid point of its own, nor does what comes too late.
        self._drain_events(self._watermark_s)
        self._watermark_s = max(self._watermark_s, watermark_s)
        while True:
            step = self._next_step()
            grid_s = step * self._settings.step_s if step is not None else math.inf
            if step is None or grid_s > self._watermark_s:
                self._drain_events(self._watermark_s)
                return
            self._drain_events(grid_s)
            self._step = step
            self._dirty = False
            self._resolver.resolve(grid_s, again=grid_s <= self._resume_s)

    def _next_step(self) -> int | None:
        """Number of the next grid point at which there is something to do."""
        times = [self._inbox.earliest_s(), self._resolver.earliest_due_s()]
        steps = [
            math.floor(time_s / self._settings.step_s) + 1
            for time_s in times
            if math.isfinite(time_s)
        ]
        if self._dirty:
            steps.append(self._step_after_events())
        return max(min(steps), self._step + 1) if steps else None

    def _step_after_events(self) -> int:
        """The first grid point after everything that was taken in."""
        if not math.isfinite(self._latest_s):
            return self._step + 1
        return math.floor(self._latest_s / self._settings.step_s) + 1

    def _drain_events(self, before_s: float) -> None:
        while (event := self._inbox.pop_before(before_s)) is not None:
            self._take(event)

    def _take(self, event: TrackEvent) -> None:
        self._latest_s = max(self._latest_s, event_time_s(event))
        track = self._track_for(event)
        if track is None:
            return
        if track.final:
            self._memory.regrouped()
        if isinstance(event, CropAdded):
            self._add_entry(track, event)
        elif isinstance(event, TrackSeen):
            self._dirty |= event.seen_at_s > track.seen_at_s
            track.seen_at_s = max(track.seen_at_s, event.seen_at_s)
        else:
            track.started_at_s = min(track.started_at_s, event.started_at_s)
            track.seen_at_s = max(track.seen_at_s, event.ended_at_s)
            track.ended = True
            self._dirty = True

    def _add_entry(self, track: Track, event: CropAdded) -> None:
        track.seen_at_s = max(track.seen_at_s, event.captured_at_s)
        track.time_source = event.time_source
        key = CropKey(event.entry_id)
        if key not in track.entries:
            track.entries[key] = Entry(key, event.captured_at_s, event.quality)
            self._dirty = True

    def _track_for(self, event: TrackEvent) -> Track | None:
        """The track an event is about; None when the event comes too late to matter."""
        found = self._tracks.get(event.track)
        if found is not None:
            if not found.ended or isinstance(event, CropAdded):
                return found
            self.late_events += isinstance(event, TrackSeen) and event.seen_at_s > found.seen_at_s
            return None
        if event_time_s(event) < self._resolver.forgotten_before_s:
            self.late_events += 1
            return None
        started_at_s = (
            event.track_started_at_s if isinstance(event, CropAdded) else event.started_at_s
        )
        track = Track(event.track, event.camera_id, started_at_s, started_at_s)
        self._tracks[event.track] = track
        self._resolver.add(track)
        return track
