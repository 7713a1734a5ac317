"""Who is remembered: the tracks of every identity, and what the world forbids them."""

from bisect import insort

import numpy as np

from streamreid.association.constraints import BoolArray, conflict_table
from streamreid.association.ledger import Ledger
from streamreid.engine.settings import EngineSettings
from streamreid.engine.tracks import Track
from streamreid.types import IdentityId, TrackKey


class Memory:
    """All tracks that may still change or be linked to, with what the ledger says about them.

    Args:
        tracks: The tracks; shared with the engine.
        ledger: Who holds what.
        settings: What the engine decides by.
    """

    def __init__(
        self, tracks: dict[TrackKey, Track], ledger: Ledger, settings: EngineSettings
    ) -> None:
        self.tracks = tracks
        self.ledger = ledger
        self.settings = settings
        self.disjoint = settings.disjoint
        self._latest: dict[IdentityId, list[TrackKey]] = {}

    def identity(self, track: TrackKey) -> IdentityId:
        """Identity of a track that holds one.

        Raises:
            KeyError: If it holds none.
        """
        holding = self.ledger.holding(track)
        if holding is None:
            raise KeyError(f"track {track} is final but holds no identity")
        return holding.identity_id

    def tracks_of(self, identity: IdentityId) -> list[Track]:
        """The remembered tracks of an identity, final or not."""
        return [self.tracks[key] for key in self.ledger.tracks_of(identity)]

    def latest(self, identity: IdentityId) -> list[TrackKey]:
        """The final tracks of an identity, latest first."""
        found = self._latest.get(identity)
        if found is None:
            final = [track for track in self.tracks_of(identity) if track.final]
            found = [track.key for track in sorted(final, key=_latest_first)]
            if found:
                self._latest[identity] = found
        return found

    def stand_ins(self, key: TrackKey) -> list[TrackKey]:
        """Whom a track is compared with for one on its shortlist: that person's latest tracks.

        Only the latest: neighbourhoods are made for a handful of tracks of each person, and fall
        apart when somebody has come by more often than lists are long.
        """
        holding = self.ledger.holding(key)
        if holding is None or not holding.final:
            return [key]
        return self.latest(holding.identity_id)[: self.settings.identity_tracks]

    def settled(self, track: Track) -> None:
        """A track became final."""
        found = self._latest.get(self.identity(track.key))
        if found is not None:
            insort(found, track.key, key=lambda key: _latest_first(self.tracks[key]))

    def regrouped(self) -> None:
        """Final tracks came, changed their identity, or were seen again."""
        self._latest.clear()

    def forget(self, track: TrackKey) -> None:
        """Drop a final track."""
        found = self._latest.get(self.identity(track))
        if found is not None:
            found.remove(track)
            if not found:
                del self._latest[self.identity(track)]
        self.ledger.forget(track)
        del self.tracks[track]

    def conflicts(self, tracks: list[Track], others: list[Track]) -> BoolArray:
        """Which of these tracks and others must be two people, shape `(T, O)`."""
        table = np.zeros((len(tracks), len(others)), dtype=np.bool_)
        if not self.settings.places or not tracks:
            return table
        since_s = min(track.started_at_s for track in tracks)
        late = [number for number, other in enumerate(others) if other.seen_at_s >= since_s]
        if late:
            rivals = [others[number].span() for number in late]
            spans = [track.span() for track in tracks]
            table[:, late] = conflict_table(spans, rivals, self.disjoint)
        return table

    def is_in_two_places(self, track: Track) -> bool:
        """Whether a track's identity holds another track that it now overlaps with."""
        holding = self.ledger.holding(track.key)
        if holding is None or not self.settings.places:
            return False
        return bool(self.conflicts([track], self.tracks_of(holding.identity_id)).any())


def _latest_first(track: Track) -> tuple[float, int]:
    return (-track.seen_at_s, -track.key)
