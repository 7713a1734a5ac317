"""The sparse table of exact scores between tracks, filled from the scorer track by track."""

import math
from collections.abc import Mapping

from streamreid.association.calibration import sigmoid
from streamreid.association.neighbours import NeighbourGraph
from streamreid.engine.settings import EngineSettings
from streamreid.engine.timing import TimeTerms
from streamreid.engine.tracks import Track
from streamreid.gallery.scorer import Scorer
from streamreid.types import TrackKey


class PairScores:
    """Calibrated appearance logits of the pairs of tracks that were worth comparing; symmetric."""

    def __init__(self, scorer: Scorer, settings: EngineSettings) -> None:
        self._scorer = scorer
        self._settings = settings
        self.graph = NeighbourGraph(settings.neighbours)
        self._logits: dict[TrackKey, dict[TrackKey, float]] = {}
        self._evidence: dict[TrackKey, dict[TrackKey, tuple[float, TimeTerms]]] = {}

    def neighbours(self, track: TrackKey) -> Mapping[TrackKey, float]:
        """Appearance logit with every track it was compared with."""
        return self._logits.get(track, {})

    def logit(self, first: TrackKey, second: TrackKey) -> float | None:
        """Appearance logit of a pair; None when it was never compared."""
        return self._logits.get(first, {}).get(second)

    def probability(self, first: TrackKey, second: TrackKey) -> float | None:
        """Calibrated appearance probability of a pair; None when it was never compared."""
        found = self.logit(first, second)
        return None if found is None else sigmoid(found)

    def compare(self, track: Track, rivals: list[Track]) -> None:
        """Score a track's best crops against those of other tracks and keep the results.

        Args:
            track: The track to score.
            rivals: Whom to compare it with; those without live crops are skipped.
        """
        settings = self._settings
        query = track.best(settings.crops_per_track)
        rivals = [rival for rival in rivals if rival.entries]
        if not query or not rivals:
            return
        # Both sides by the crops they were last scored with: the result then does not depend on
        # which of the two was scored last, nor on a restart in between.
        groups = [rival.scored_with or rival.best(settings.crops_per_track) for rival in rivals]
        scores = self._scorer.score(query, groups).score
        for rival, score in zip(rivals, scores, strict=True):
            value = float(score)
            if math.isnan(value):
                # Its crops left the gallery: nobody can be compared with it any more.
                if rival.final:
                    self.forget(rival.key)
                continue
            self.keep(track, rival, value)

    def keep(self, track: Track, rival: Track, score: float) -> None:
        """Keep what a pair scored, now or before a restart."""
        settings = self._settings
        logit = settings.calibration_slope * score + settings.calibration_offset
        self.graph.add(track.key, rival.key, logit)
        for one, other in ((track, rival), (rival, track)):
            self._logits.setdefault(one.key, {})[other.key] = logit
            one.compared(other.key, other.camera_id, logit)

    def scores(self, track: TrackKey) -> tuple[tuple[TrackKey, float], ...]:
        """What `keep` was given about every track that this one was compared with."""
        settings = self._settings
        slope, offset = settings.calibration_slope, settings.calibration_offset
        return tuple(
            (key, (logit - offset) / slope) for key, logit in self.neighbours(track).items()
        )

    def fresh_logits(self, track: Track, rivals: list[Track]) -> list[float | None]:
        """Appearance logits as known, or scored now without keeping them.

        Args:
            track: A track.
            rivals: Others.

        Returns:
            One logit per rival; None where crops have left the gallery.
        """
        settings = self._settings
        query = track.scored_with or track.best(settings.crops_per_track)
        known = self.neighbours(track.key)
        unknown = [rival for rival in rivals if rival.key not in known and rival.entries]
        found: dict[TrackKey, float] = {}
        if query and unknown:
            groups = [
                rival.scored_with or rival.best(settings.crops_per_track) for rival in unknown
            ]
            scores = self._scorer.score(query, groups).score
            for rival, score in zip(unknown, scores, strict=True):
                if not math.isnan(float(score)):
                    found[rival.key] = (
                        settings.calibration_slope * float(score) + settings.calibration_offset
                    )
        return [known.get(rival.key, found.get(rival.key)) for rival in rivals]

    def set_terms(self, first: TrackKey, second: TrackKey, terms: TimeTerms, odds: float) -> None:
        """Keep what time says about a compared pair, and the log odds that follow."""
        for one, other in ((first, second), (second, first)):
            self._evidence.setdefault(one, {})[other] = (odds, terms)

    def odds(self, track: TrackKey) -> Mapping[TrackKey, tuple[float, TimeTerms]]:
        """Log odds that each compared track is the same person, and the time terms in them."""
        return self._evidence.get(track, {})

    def drop_pair(self, first: TrackKey, second: TrackKey) -> None:
        """Forget one pair."""
        for one, other in ((first, second), (second, first)):
            for table in (self._logits, self._evidence):
                row = table.get(one)
                if row is not None:
                    row.pop(other, None)
                    if not row:
                        del table[one]

    def forget(self, track: TrackKey) -> None:
        """Forget every pair of a track."""
        self.graph.forget(track)
        for other in tuple(self._logits.get(track, {})):
            self.drop_pair(track, other)

    def __len__(self) -> int:
        return sum(len(row) for row in self._logits.values()) // 2
