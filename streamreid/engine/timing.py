"""What time says about pairs of tracks: live TLift and transition times, each on probation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from streamreid.association.constraints import CameraPair, pair_of
from streamreid.engine.clock_health import ClockWatch
from streamreid.engine.events import TimeRecord, TransitionUpdate
from streamreid.engine.passages import Passages, passage
from streamreid.engine.probation import Probation
from streamreid.engine.settings import TimeSettings
from streamreid.engine.tracks import Track
from streamreid.tlift.cooccurrence import CooccurrenceState
from streamreid.tlift.transition import TransitionModel
from streamreid.types import CameraId, TrackKey


@dataclass(frozen=True, slots=True)
class TimeTerms:
    """What time says about one pair; None where there is no evidence.

    Attributes:
        weight: TLift weight in (0, 1].
        cooccurrence: `log((w + alpha) / (w0 + alpha))`.
        transition: Log likelihood ratio of the time between the tracks.
    """

    weight: float | None = None
    cooccurrence: float | None = None
    transition: float | None = None


NO_TERMS = TimeTerms()

_COMPANIONS, _CLOCK, _WATCH, _FROZEN = "companions", "clock", "watch", "frozen"
_PASSAGES, _TRANSITIONS, _BACKGROUND = "passages", "transitions", "background"


@dataclass(slots=True)
class TimeEvidence:
    """Both time terms of the engine, what they learned, and whether they may speak.

    Attributes:
        settings: Parameters.
        cooccurrence: Live TLift.
        transitions: Learned times between any two tracks of one person.
        passages: Learned times from one sighting of a person to the next.
        companions_help: Probation of live TLift.
        clock_helps: Probation of transition times, per camera.
        learned: Pairs whose histogram changed since the last `drain`, and when.
        overlaps: Camera pairs whose views are known to overlap.
        clocks: Watches for clocks that move.
    """

    settings: TimeSettings
    overlaps: frozenset[CameraPair] = frozenset()
    cooccurrence: CooccurrenceState = field(init=False)
    transitions: TransitionModel = field(init=False)
    passages: Passages = field(init=False)
    companions_help: Probation = field(default_factory=Probation)
    clock_helps: dict[CameraId, Probation] = field(default_factory=dict)
    learned: dict[CameraPair, float] = field(default_factory=dict)
    clocks: ClockWatch = field(default_factory=ClockWatch)
    _never_at_once: frozenset[CameraPair] | None = None
    _tried: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = self.settings
        self.cooccurrence = CooccurrenceState(
            tau_s=settings.tau_s,
            sigma_s=settings.sigma_s,
            pivots=settings.pivots,
            alpha=settings.alpha,
        )
        self.transitions = TransitionModel(
            half_life_s=settings.half_life_s,
            prior_support=settings.prior_support,
            smoothing=settings.smoothing,
            overlaps=self.overlaps,
        )
        self.passages = Passages(
            TransitionModel(half_life_s=settings.half_life_s, overlaps=self.overlaps)
        )

    def listen(
        self, track: Track, neighbours: Mapping[TrackKey, float], tracks: Mapping[TrackKey, Track]
    ) -> None:
        """A track ended: it becomes a query event and a gallery item of co-occurrence.

        Args:
            track: The track.
            neighbours: Appearance probability with every track it was compared with.
            tracks: All tracks.
        """
        if not self.settings.cooccurrence or track.listed:
            return
        track.listed = True
        state = self.cooccurrence
        state.add_query(track.key, track.camera_id, track.started_at_s)
        for key, probability in neighbours.items():
            other = tracks[key]
            if other.listed:
                state.push(track.key, other.camera_id, other.started_at_s, probability)
                state.push(key, track.camera_id, track.started_at_s, probability)

    def terms(self, track: Track, others: list[Track], *, at_s: float) -> list[TimeTerms]:
        """What time says about a track and each of these others.

        Args:
            track: The track.
            others: Tracks it was compared with.
            at_s: Event time now, epoch seconds.
        """
        weights = self._weights(track, others) if self.settings.cooccurrence else {}
        found = []
        for other in others:
            weight = weights.get(other.key)
            found.append(
                TimeTerms(
                    weight,
                    None if weight is None else self._log_weight(weight),
                    self._transition(track, other, at_s) if self.settings.transitions else None,
                )
            )
        return found

    def passing(self, track: Track, other: Track, *, at_s: float) -> TimeTerms:
        """What the time between two tracks says, whoever was near them, as far as it is trusted.

        Args:
            track: One track.
            other: The other.
            at_s: Event time now, epoch seconds.
        """
        if not self.settings.transitions:
            return NO_TERMS
        terms = TimeTerms(transition=self._transition(track, other, at_s))
        return self.trusted(terms, track.camera_id, other.camera_id)

    def trusted(self, terms: TimeTerms, first: CameraId, second: CameraId) -> TimeTerms:
        """The same terms without those that are not to be trusted at present."""
        cooccurrence = terms.cooccurrence if self.companions_help.passed else None
        moved = self.clocks.moved()
        clocks = all(
            camera in self.clock_helps
            and self.clock_helps[camera].passed
            and (camera not in moved or first == second)
            for camera in (first, second)
        )
        return TimeTerms(
            terms.weight if cooccurrence is not None else None,
            cooccurrence,
            terms.transition if clocks else None,
        )

    def learn(
        self, track: Track, match: Track, others: list[Track], *, belief: float, at_s: float
    ) -> None:
        """Learn from an appearance-only mutual best pair, after the decision about it.

        Args:
            track: One track of the pair.
            match: The other.
            others: Candidates that do not look like the track.
            belief: Appearance probability of the pair.
            at_s: Event time now, epoch seconds.
        """
        own, *rest = self.terms(track, [match, *others], at_s=at_s)
        self._examine(track, match, own, rest, at_s)
        if not self.settings.transitions:
            return
        source, target, delta_s = passage(track, match)
        if self.transitions.learn(source, target, delta_s, at_s=at_s, weight=belief):
            self.learned[source, target] = at_s
        for other in others:
            self.transitions.learn_background(passage(track, other)[2], at_s=at_s)
        if others:
            self._tried[f"{_BACKGROUND}:{_TRANSITIONS}"] = at_s
        self._never_at_once = None

    def learn_passage(
        self, track: Track, next_to: Track, others: list[Track], *, belief: float, at_s: float
    ) -> None:
        """Learn how long a person took between two sightings; arguments as in `Passages`."""
        if not self.settings.transitions:
            return
        if others:
            self._tried[f"{_BACKGROUND}:{_PASSAGES}"] = at_s
        if self.passages.learn(track, next_to, others, belief=belief, at_s=at_s):
            source, target, _ = passage(track, next_to)
            self.learned[source, target] = at_s
            self._tried[_PASSAGES] = at_s

    def taking_turns(self, ours: list[Track], theirs: list[Track], *, at_s: float) -> float:
        """Whether two identities take turns as one person would; 0 without evidence."""
        if not self.settings.transitions:
            return 0.0
        return self.passages.taking_turns(ours, theirs, self.clocks.moved(), at_s=at_s)

    def never_at_once(self, *, at_s: float) -> frozenset[CameraPair]:
        """Camera pairs that were never seen to show one person at once, with enough support.

        Views that are known to overlap are never among them, nor cameras whose clock seems to have
        moved: theirs are other instants now.

        Args:
            at_s: Event time now, epoch seconds.
        """
        if self._never_at_once is None:
            model, moved = self.transitions, self.clocks.moved()
            pairs = {pair_of(*pair) for pair in model.pairs()}
            self._never_at_once = frozenset(
                pair
                for pair in pairs
                if not moved.intersection(pair) and model.never_at_once(*pair, at_s=at_s)
            )
        return self._never_at_once

    def drain(self) -> tuple[TransitionUpdate, ...]:
        """Histograms that changed since the last call."""
        updates = tuple(
            TransitionUpdate(
                source,
                target,
                self.transitions.dump(source, target, at_s=at_s),
                self.transitions.support(source, target, at_s=at_s),
                at_s,
                self.passages.model.dump(source, target, at_s=at_s),
            )
            for (source, target), at_s in self.learned.items()
        )
        self.learned.clear()
        return updates

    def restore(self, updates: tuple[TransitionUpdate, ...]) -> None:
        """Take over histograms from the store."""
        for update in updates:
            self.transitions.load(
                update.from_camera_id,
                update.to_camera_id,
                update.histogram,
                updated_at_s=update.updated_at_s,
            )
            if update.passages:
                self.passages.model.load(
                    update.from_camera_id,
                    update.to_camera_id,
                    update.passages,
                    updated_at_s=update.updated_at_s,
                )
        self._never_at_once = None

    def warnings(self) -> list[str]:
        """Cameras whose clock moved, or whose times say nothing about who is who."""
        moved = self.clocks.moved()
        found = [
            f"camera '{camera}': its clock seems to have moved, people no longer take the learned "
            "times to and from it. Times are ignored for it until they fit again; check its clock, "
            "or forget its ways with 'streamreid topology reset'"
            for camera in sorted(moved)
        ]
        found += [
            f"camera '{camera}': its times do not tell who is who, so they are ignored; its clock "
            "may be wrong or unsteady"
            for camera, probation in sorted(self.clock_helps.items())
            if probation.failed and camera not in moved
        ]
        return found

    def freeze(self, frozen: bool, *, at_s: float) -> None:
        """Keep the learned transition times as they are, or learn on."""
        self.transitions.frozen = self.passages.model.frozen = frozen
        self._tried[_FROZEN] = at_s

    def drain_records(self) -> tuple[TimeRecord, ...]:
        """How far times can be trusted, as far as it changed since the last call."""
        found = tuple(
            TimeRecord(name, self._record(name, at_s), at_s) for name, at_s in self._tried.items()
        )
        self._tried.clear()
        return found

    def restore_records(self, records: tuple[TimeRecord, ...]) -> None:
        """Take over from the store how far times could be trusted."""
        for record in records:
            kind, _, camera = record.name.partition(":")
            if kind == _BACKGROUND:
                counts = [float(value) for value in record.values]
                self._model(camera).load_background(counts, updated_at_s=record.updated_at_s)
            elif kind == _WATCH:
                self.clocks.load(CameraId(camera), list(record.values))
            elif kind == _FROZEN:
                frozen = bool(float(record.values[0]))
                self.transitions.frozen = self.passages.model.frozen = frozen
            elif kind in (_CLOCK, _COMPANIONS, _PASSAGES):
                count, total, squares = (float(value) for value in record.values)
                trial = Probation(count=count, total=total, squares=squares)
                if kind == _CLOCK:
                    self.clock_helps[CameraId(camera)] = trial
                elif kind == _PASSAGES:
                    self.passages.help = trial
                else:
                    self.companions_help = trial
        self._never_at_once = None

    def _model(self, name: str) -> TransitionModel:
        return self.passages.model if name == _PASSAGES else self.transitions

    def _record(self, name: str, at_s: float) -> tuple[float | str, ...]:
        kind, _, camera = name.partition(":")
        if kind == _BACKGROUND:
            return self._model(camera).dump_background(at_s=at_s)
        if kind == _FROZEN:
            return (float(self.transitions.frozen),)
        if kind == _WATCH:
            return tuple(self.clocks.dump(CameraId(camera)))
        if kind == _CLOCK:
            return self.clock_helps[CameraId(camera)].dump()
        return (self.passages.help if kind == _PASSAGES else self.companions_help).dump()

    def _examine(
        self, track: Track, match: Track, own: TimeTerms, rest: list[TimeTerms], at_s: float
    ) -> None:
        """Put both terms to the test on a believed match."""
        usual = [terms.cooccurrence for terms in rest if terms.cooccurrence is not None]
        if own.cooccurrence is not None and usual:
            self.companions_help.observe(own.cooccurrence - float(np.mean(usual)))
            self._tried[_COMPANIONS] = at_s
        usual = [terms.transition for terms in rest if terms.transition is not None]
        if own.transition is not None and usual:
            for camera in sorted({track.camera_id, match.camera_id}):
                probation = self.clock_helps.setdefault(camera, Probation())
                probation.observe(own.transition - float(np.mean(usual)))
                self._tried[f"{_CLOCK}:{camera}"] = at_s
                if track.camera_id != match.camera_id:
                    self._tried[f"{_WATCH}:{camera}"] = at_s
            self.clocks.observe(
                track.camera_id, match.camera_id, own.transition - float(np.mean(usual))
            )

    def _weights(self, track: Track, others: list[Track]) -> dict[TrackKey, float]:
        """TLift weight of each of these tracks with the track as query."""
        state = self.cooccurrence
        near = state.companions(track.camera_id, track.started_at_s, math.inf)
        cameras: dict[CameraId, list[Track]] = {}
        for other in others:
            cameras.setdefault(other.camera_id, []).append(other)
        found = {}
        for camera, group in cameras.items():
            times_s = np.array([other.started_at_s for other in group])
            weights = state.weights(near, camera, times_s)
            if weights is not None:
                for other, weight in zip(group, weights.tolist(), strict=True):
                    found[other.key] = weight
        return found

    def _log_weight(self, weight: float) -> float:
        alpha, usual = self.settings.alpha, self.settings.usual_weight
        return math.log((weight + alpha) / (usual + alpha))

    def _transition(self, track: Track, other: Track, at_s: float) -> float | None:
        source, target, delta_s = passage(track, other)
        return self.transitions.log_ratio(source, target, delta_s, at_s=at_s)
