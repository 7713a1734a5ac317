"""The identity ledger: every change is one append-only row, and no id is ever reused."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from streamreid.types import IdentityId, TrackKey

ENGINE = "engine"
"""Actor of every row that no operator caused."""

Status = Literal["provisional", "confirmed", "merged"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the append-only ledger: which identity a track has from now on, and why.

    Attributes:
        track: Row id of the track.
        revision: Counts the decisions about this track from 0; (track, revision) is unique.
        decided_at_s: Event time at which it was decided, epoch seconds.
        identity_id: The identity the track belongs to.
        probability: Probability in [0, 1] of the link, or of being new when `reason` is `new`.
        appearance: QAConv probability of the link in [0, 1]; None when there was no candidate.
        cooccurrence: TLift weight in (0, 1]; None without evidence.
        transition: Transition-time likelihood ratio; None without evidence.
        runner_up_identity_id: Second best identity, if any; the other identity of `rejected`.
        runner_up_probability: Its probability.
        reason: `new`, `matched`, `revised`, `merged`, `split`, `confirmed`, `rejected`, `undone`.
        actor: `engine` or the operator's name.
        final: True when only an operator can change it.
    """

    track: TrackKey
    revision: int
    decided_at_s: float
    identity_id: IdentityId
    probability: float
    appearance: float | None
    cooccurrence: float | None
    transition: float | None
    runner_up_identity_id: IdentityId | None
    runner_up_probability: float | None
    reason: str
    actor: str = ENGINE
    final: bool = False


@dataclass(frozen=True, slots=True)
class IdentityUpdate:
    """An identity was created or changed; written to the table `identities`.

    Attributes:
        identity_id: Never reused.
        status: `provisional`, `confirmed` or `merged`.
        created_at_s: Event time of creation, epoch seconds.
        last_seen_at_s: Latest detection of any of its tracks, epoch seconds.
        merged_into: The identity it became part of when `status` is `merged`.
    """

    identity_id: IdentityId
    status: Status
    created_at_s: float
    last_seen_at_s: float
    merged_into: IdentityId | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """The figures behind one decision; see `Decision` for their meaning."""

    probability: float
    appearance: float | None = None
    cooccurrence: float | None = None
    transition: float | None = None
    runner_up_identity_id: IdentityId | None = None
    runner_up_probability: float | None = None


@dataclass(slots=True)
class _Identity:
    created_at_s: float
    last_seen_at_s: float
    status: Status = "provisional"
    merged_into: IdentityId | None = None
    tracks: set[TrackKey] = field(default_factory=set)
    absorbed: list[IdentityId] = field(default_factory=list)
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """What the ledger knows about one track: its identity, its last revision, whether final."""

    identity_id: IdentityId
    revision: int
    final: bool


class Ledger:
    """Current assignment of tracks to identities, and the rows that led to it.

    Only tracks and identities that may still change or be linked to are held in memory; `forget`
    drops the rest, while their rows stay in the store.
    """

    def __init__(self, next_identity_id: int = 1) -> None:
        self._next_id = next_identity_id
        self._identities: dict[IdentityId, _Identity] = {}
        self._holdings: dict[TrackKey, Holding] = {}
        self._decisions: list[Decision] = []
        self._touched: dict[IdentityId, None] = {}

    def __len__(self) -> int:
        return len(self._identities)

    def holding(self, track: TrackKey) -> Holding | None:
        """Current state of a track; None while it is undecided or after it was forgotten."""
        return self._holdings.get(track)

    def tracks_of(self, identity_id: IdentityId) -> tuple[TrackKey, ...]:
        """The remembered tracks of an identity, ascending."""
        found = self._identities.get(identity_id)
        return tuple(sorted(found.tracks)) if found else ()

    def knows(self, identity_id: IdentityId) -> bool:
        """Whether the identity is remembered and not merged into another."""
        found = self._identities.get(identity_id)
        return found is not None and found.status != "merged"

    def is_anchored(self, identity_id: IdentityId) -> bool:
        """Whether a final track stands for this identity, so that nobody else may take it."""
        found = self._identities.get(identity_id)
        return found is None or found.status != "provisional"

    def created_at_s(self, identity_id: IdentityId) -> float:
        """When an identity that is remembered was created, epoch seconds."""
        return self._identities[identity_id].created_at_s

    def is_corrected(self, identity_id: IdentityId) -> bool:
        """Whether an operator ever decided about it: then the engine never takes it apart."""
        found = self._identities.get(identity_id)
        return found is not None and found.corrected

    def adopt_corrected(self, identity_id: IdentityId) -> None:
        """Take over from the store that an operator once decided about an identity."""
        if identity_id in self._identities:
            self._identities[identity_id].corrected = True

    def resolve(self, identity_id: IdentityId) -> IdentityId:
        """Follow merges to the identity that stands for this one today."""
        seen = set()
        while identity_id not in seen:
            seen.add(identity_id)
            found = self._identities.get(identity_id)
            if found is None or found.merged_into is None:
                break
            identity_id = found.merged_into
        return identity_id

    def new_identity(self, at_s: float) -> IdentityId:
        """Create an identity under an id that no identity ever had."""
        identity_id = IdentityId(self._next_id)
        self._next_id += 1
        self._identities[identity_id] = _Identity(created_at_s=at_s, last_seen_at_s=at_s)
        self._touched[identity_id] = None
        return identity_id

    def start_after(self, next_identity_id: int) -> None:
        """Never use an id below this one."""
        self._next_id = max(self._next_id, next_identity_id)

    def adopt(self, update: IdentityUpdate) -> None:
        """Take over an identity from the store after a restart."""
        self._identities[update.identity_id] = _Identity(
            update.created_at_s, update.last_seen_at_s, update.status, update.merged_into
        )
        self._next_id = max(self._next_id, int(update.identity_id) + 1)

    def adopt_unknown(self, update: IdentityUpdate) -> None:
        """Take over an identity from the store unless it is remembered."""
        if update.identity_id not in self._identities:
            self.adopt(update)

    def adopt_track(
        self,
        track: TrackKey,
        identity_id: IdentityId,
        *,
        revision: int,
        final: bool,
        seen_at_s: float,
    ) -> None:
        """Take over the assignment of a track from the store after a restart."""
        if identity_id not in self._identities:
            self._identities[identity_id] = _Identity(seen_at_s, seen_at_s)
        self._identities[identity_id].tracks.add(track)
        self._holdings[track] = Holding(identity_id, revision, final)
        self._next_id = max(self._next_id, int(identity_id) + 1)

    def assign(
        self,
        track: TrackKey,
        identity_id: IdentityId,
        numbers: Numbers,
        *,
        at_s: float,
        seen_at_s: float,
        reason: str,
        actor: str = ENGINE,
        final: bool = False,
        force: bool = False,
    ) -> None:
        """Write one row, unless nothing but the probability changed.

        Args:
            track: The track.
            identity_id: Its identity from now on; must be known.
            numbers: Figures behind the decision.
            at_s: Event time of the decision, epoch seconds.
            seen_at_s: Latest detection of the track, epoch seconds.
            reason: See `Decision.reason`.
            actor: Who decided.
            final: Whether only an operator can change it from now on.
            force: Write the row even when nothing changed.
        """
        before = self._holdings.get(track)
        self.seen(identity_id, seen_at_s)
        if before and before.identity_id == identity_id and before.final == final and not force:
            return
        revision = before.revision + 1 if before else 0
        self._holdings[track] = Holding(identity_id, revision, final)
        self._move(track, before.identity_id if before else None, identity_id)
        self._identities[identity_id].corrected |= actor != ENGINE
        if final and self._identities[identity_id].status == "provisional":
            self._identities[identity_id].status = "confirmed"
            self._touched[identity_id] = None
        self._decisions.append(
            Decision(
                track=track,
                revision=revision,
                decided_at_s=at_s,
                identity_id=identity_id,
                probability=numbers.probability,
                appearance=numbers.appearance,
                cooccurrence=numbers.cooccurrence,
                transition=numbers.transition,
                runner_up_identity_id=numbers.runner_up_identity_id,
                runner_up_probability=numbers.runner_up_probability,
                reason=reason,
                actor=actor,
                final=final,
            )
        )

    def revive(self, identity_id: IdentityId, *, at_s: float) -> None:
        """Make a merged identity stand for itself again (undo of a merge)."""
        found = self._identities.setdefault(identity_id, _Identity(at_s, at_s))
        found.status, found.merged_into = "confirmed", None
        self._touched[identity_id] = None

    def drain(self) -> tuple[tuple[Decision, ...], tuple[IdentityUpdate, ...]]:
        """Rows and identity changes since the last call, in order."""
        decisions = tuple(self._decisions)
        updates = tuple(
            IdentityUpdate(
                identity_id,
                found.status,
                found.created_at_s,
                found.last_seen_at_s,
                found.merged_into,
            )
            for identity_id in self._touched
            if (found := self._identities.get(identity_id)) is not None
        )
        self._decisions.clear()
        self._touched.clear()
        return decisions, updates

    def forget(self, track: TrackKey) -> None:
        """Drop a track from memory; an identity without remembered tracks is dropped with it."""
        holding = self._holdings.pop(track, None)
        if holding is None:
            return
        found = self._identities.get(holding.identity_id)
        if found is None:
            return
        found.tracks.discard(track)
        if not found.tracks:
            self._drop(holding.identity_id)

    def _drop(self, identity_id: IdentityId) -> None:
        """Remove an identity and those that were merged into it from memory."""
        found = self._identities.pop(identity_id, None)
        for absorbed in found.absorbed if found else ():
            if self._identities.get(absorbed, found) is not found:
                self._drop(absorbed)

    def seen(self, identity_id: IdentityId, seen_at_s: float) -> None:
        """A track of this identity was detected; times may come in any order."""
        found = self._identities[identity_id]
        if seen_at_s > found.last_seen_at_s:
            found.last_seen_at_s = seen_at_s
            self._touched[identity_id] = None

    def _move(self, track: TrackKey, old: IdentityId | None, new: IdentityId) -> None:
        self._identities[new].tracks.add(track)
        if old is None or old == new or old not in self._identities:
            return
        left = self._identities[old]
        left.tracks.discard(track)
        if not left.tracks:
            # The id is never given to anyone else: whoever holds a link to it finds the person.
            left.status, left.merged_into = "merged", new
            self._identities[new].absorbed.append(old)
        self._touched[old] = None


def replay(decisions: Iterable[Decision]) -> dict[TrackKey, Holding]:
    """State of every track after these ledger rows.

    Args:
        decisions: Rows in the order they were written.

    Returns:
        The last holding of each track.

    Raises:
        ValueError: If a track's revisions do not count up from its first one.
    """
    state: dict[TrackKey, Holding] = {}
    for row in decisions:
        before = state.get(row.track)
        if before is not None and row.revision != before.revision + 1:
            raise ValueError(
                f"track {row.track}: revision {row.revision} follows {before.revision}, "
                f"expected {before.revision + 1}; rows are missing or out of order"
            )
        state[row.track] = Holding(row.identity_id, row.revision, row.final)
    return state
