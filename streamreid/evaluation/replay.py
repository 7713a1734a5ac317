"""Drives the engine with a data set as if it were live, and measures what it decided."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid.association.calibration import expected_calibration_error
from streamreid.association.constraints import CameraPair, Span, violations
from streamreid.association.ledger import ENGINE, Decision, replay
from streamreid.engine.engine import Engine
from streamreid.engine.events import CropAdded, Outcome, TrackClosed, TrackSeen, TransitionUpdate
from streamreid.engine.evidence import PairEvidence
from streamreid.engine.inbox import event_time_s
from streamreid.engine.joining import JoinEvidence
from streamreid.engine.settings import EngineSettings
from streamreid.evaluation.clustering import (
    ClusterFigures,
    Join,
    Search,
    cluster_figures,
    false_link_rate,
    fnir_at_fpir,
    majority,
)
from streamreid.evaluation.tracklets import Tracklet
from streamreid.gallery.scorer import Embeddings, GalleryEntry, Scorer
from streamreid.types import CropKey, Float64Array, IdentityId, Int64Array, TrackKey


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """What one replay measured, fractions unless it is a count.

    Attributes:
        clusters: Final identities against the truth.
        links: Final links to an identity that existed already, joins of two identities included.
        false_links: Those of them that join two people.
        joins: Joins of two identities.
        false_joins: Those of them whose identities stood for two people.
        new_person_errors: Strangers taken for somebody, and known people taken for new.
        fnir_at_fpir_10: Known people missed when 10 % of strangers pass.
        fnir_at_fpir_1: The same at 1 %.
        calibration_error: Expected calibration error of the best candidate's probability.
        revised: Ledger rows that changed an identity after the first.
        in_two_places: Pairs of tracks of one identity at once in one camera.
        in_two_cameras: Pairs of tracks of one identity at once in two cameras.
    """

    clusters: ClusterFigures
    links: int
    false_links: int
    joins: int
    false_joins: int
    new_person_errors: tuple[int, int]
    fnir_at_fpir_10: float
    fnir_at_fpir_1: float
    calibration_error: float
    revised: int
    in_two_places: int
    in_two_cameras: int

    @property
    def false_link_rate(self) -> float:
        """Share of final links that join two people; 0 without links."""
        return self.false_links / self.links if self.links else 0.0


@dataclass(frozen=True, slots=True)
class Replay:
    """Result of one replay.

    Attributes:
        rows: The ledger, in order.
        searches: One per track that the engine settled, in order.
        joins: One per join of two identities, in order.
        figures: What was measured.
        transitions: Learned transition times of every camera pair, as they were last handed out.
        warnings: What the engine told an operator at any time, each text once.
        violations: The engine's own count of tracks in two places at once.
    """

    rows: tuple[Decision, ...]
    searches: tuple[Search, ...]
    joins: tuple[Join, ...]
    figures: StreamFigures
    transitions: tuple[TransitionUpdate, ...] = ()
    warnings: tuple[str, ...] = ()
    violations: int = 0


@dataclass(frozen=True, slots=True)
class _Arrival:
    event: CropAdded | TrackSeen | TrackClosed
    entry: GalleryEntry | None


def entry_keys(tracklets: Sequence[Tracklet]) -> dict[Path, CropKey]:
    """Entry id of every image: its place among all paths, whatever the tracklets' order.

    Args:
        tracklets: The tracklets.
    """
    paths = sorted({path for tracklet in tracklets for path in tracklet.images})
    return {path: CropKey(number) for number, path in enumerate(paths, 1)}


def chosen_images(tracklet: Tracklet, count: int) -> Int64Array:
    """Which of a tracklet's images become crops: at most `count`, spread over it."""
    total = len(tracklet.images)
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


def run_stream(
    tracklets: Sequence[Tracklet],
    scorer: Scorer,
    embed: Callable[[Tracklet, int], Embeddings],
    settings: EngineSettings,
    *,
    all_camera_pairs: frozenset[CameraPair] = frozenset(),
    progress: Callable[[int], None] | None = None,
    witness: Callable[[PairEvidence], None] | None = None,
    join_witness: Callable[[JoinEvidence], None] | None = None,
) -> Replay:
    """Replay tracklets in order of time through the engine.

    Args:
        tracklets: The tracklets; their `track` numbers name them.
        scorer: An empty scorer.
        embed: Embedding of a tracklet's n-th image.
        settings: What the engine decides by.
        all_camera_pairs: Pairs for which being in both at once is counted.
        progress: Called with the number of tracklets that have ended.
        witness: Told everything about every pair whose track becomes final.
        join_witness: Told about every two identities that were held against each other.
    """
    engine = Engine(scorer, settings=settings, witness=witness, join_witness=join_witness)
    rows: list[Decision] = []
    learned: dict[CameraPair, TransitionUpdate] = {}
    warnings: dict[str, None] = {}
    ended = 0
    for arrival, image in _arrivals(tracklets, settings.crops_per_track):
        event = arrival.event
        now_s = event_time_s(event)
        if arrival.entry is not None and image is not None:
            scorer.insert([arrival.entry], embed(*image))
            scorer.evict(before_s=now_s - settings.max_age_s)
        outcome = engine.observe(event, now_s)
        rows.extend(outcome.decisions)
        learned.update(_by_pair(outcome))
        if outcome.transitions:
            warnings.update(dict.fromkeys(engine.warnings()))
        if isinstance(event, TrackClosed):
            ended += 1
            if progress is not None:
                progress(ended)
    outcome = engine.close(tracklets[-1].ended_at_s if tracklets else 0.0)
    rows.extend(outcome.decisions)
    learned.update(_by_pair(outcome))
    searches, joins = judge(rows, {tracklet.track: tracklet.person for tracklet in tracklets})
    return Replay(
        tuple(rows),
        tuple(searches),
        tuple(joins),
        _figures(tracklets, rows, searches, joins, all_camera_pairs),
        tuple(learned.values()),
        tuple(warnings),
        engine.violations,
    )


def _by_pair(outcome: Outcome) -> dict[CameraPair, TransitionUpdate]:
    return {(row.from_camera_id, row.to_camera_id): row for row in outcome.transitions}


def judge(
    rows: Sequence[Decision], person: Mapping[TrackKey, int]
) -> tuple[list[Search], list[Join]]:
    """Hold every final engine decision against the truth, in the order they were made.

    An identity stands for the person of most of its tracks that were final before; a person is
    known when one of their tracks was. The rows with which one identity moves into another are one
    join, however many tracks move.

    Args:
        rows: The ledger.
        person: True person of every track.

    Returns:
        One search per settled track, and one join per identity that became part of another.
    """
    truth = _Truth(person)
    searches: list[Search] = []
    joins: list[Join] = []
    joined: set[tuple[IdentityId, IdentityId, float]] = set()
    for row in rows:
        if not row.final or row.actor != ENGINE:
            continue
        before = truth.home.get(row.track)
        if before is None:
            searches.append(truth.search(row))
        elif (change := (before, row.identity_id, row.decided_at_s)) not in joined:
            joined.add(change)
            joins.append(Join(row.probability, truth.agree(before, row.identity_id)))
        truth.move(row.track, row.identity_id)
    return searches, joins


class _Truth:
    """Who the identities stand for, while the rows of a ledger are read."""

    def __init__(self, person: Mapping[TrackKey, int]) -> None:
        self._person = person
        self._members: dict[IdentityId, list[TrackKey]] = {}
        self._seen: set[int] = set()
        self.home: dict[TrackKey, IdentityId] = {}

    def stands_for(self, identity: IdentityId | None) -> int | None:
        """The person of most of its tracks; None for an identity without any."""
        members = None if identity is None else self._members.get(identity)
        return majority([self._person[track] for track in members]) if members else None

    def agree(self, first: IdentityId, second: IdentityId) -> bool:
        """Whether two identities stand for one person."""
        return self.stands_for(first) == self.stands_for(second)

    def search(self, row: Decision) -> Search:
        """The row that settled a track, as a search among the identities known before."""
        person = self._person[row.track]
        linked = row.identity_id in self._members
        candidate = row.identity_id if linked else row.runner_up_identity_id
        probability = row.probability if linked else row.runner_up_probability
        found = self.stands_for(candidate)
        chance = 0.0 if found is None else float(probability or 0.0)
        return Search(person in self._seen, chance, found == person, linked)

    def move(self, track: TrackKey, identity: IdentityId) -> None:
        """A track belongs to an identity from now on."""
        before = self.home.get(track)
        if before is not None:
            self._members[before].remove(track)
            if not self._members[before]:
                del self._members[before]
        self.home[track] = identity
        self._members.setdefault(identity, []).append(track)
        self._seen.add(self._person[track])


def _figures(
    tracklets: Sequence[Tracklet],
    rows: Sequence[Decision],
    searches: Sequence[Search],
    joins: Sequence[Join],
    camera_pairs: frozenset[CameraPair],
) -> StreamFigures:
    held = replay(rows)
    known = [tracklet for tracklet in tracklets if tracklet.track in held]
    identity = [held[tracklet.track].identity_id for tracklet in known]
    spans = [
        (one, Span(item.track, item.camera_id, item.started_at_s, item.ended_at_s))
        for one, item in zip(identity, known, strict=True)
    ]
    same_camera = len(violations(spans))
    false_links, links = false_link_rate(searches, joins)
    probability: Float64Array = np.array([search.probability for search in searches])
    correct: Float64Array = np.array([float(search.correct) for search in searches])
    asked = probability > 0
    return StreamFigures(
        clusters=cluster_figures([item.person for item in known], identity),
        links=links,
        false_links=false_links,
        joins=len(joins),
        false_joins=sum(not join.correct for join in joins),
        new_person_errors=(
            sum(search.linked and not search.known for search in searches),
            sum(search.known and not search.linked for search in searches),
        ),
        fnir_at_fpir_10=fnir_at_fpir(searches, 0.1),
        fnir_at_fpir_1=fnir_at_fpir(searches, 0.01),
        calibration_error=expected_calibration_error(probability[asked], correct[asked]),
        revised=sum(row.reason == "revised" for row in rows),
        in_two_places=same_camera,
        in_two_cameras=len(violations(spans, camera_pairs)) - same_camera,
    )


def _arrivals(
    tracklets: Sequence[Tracklet], crops: int
) -> Iterator[tuple[_Arrival, tuple[Tracklet, int] | None]]:
    """Events of all tracklets in order of time, with the image behind each crop."""
    keys = entry_keys(tracklets)
    found: list[tuple[float, int, int, _Arrival, tuple[Tracklet, int] | None]] = []
    for tracklet in tracklets:
        for number in chosen_images(tracklet, crops).tolist():
            time_s = tracklet.times_s[number]
            key = keys[tracklet.images[number]]
            crop = CropAdded(
                tracklet.track, tracklet.camera_id, key, time_s, tracklet.started_at_s, 0.5
            )
            entry = GalleryEntry(key, tracklet.camera_id, tracklet.track, time_s)
            arrival = _Arrival(crop, entry)
            found.append((time_s, 0, int(key), arrival, (tracklet, number)))
        closed = TrackClosed(
            tracklet.track, tracklet.camera_id, tracklet.started_at_s, tracklet.ended_at_s, "left"
        )
        found.append((tracklet.ended_at_s, 1, int(tracklet.track), _Arrival(closed, None), None))
    found.sort(key=lambda item: item[:3])
    for _, _, _, arrival, image in found:
        yield arrival, image
