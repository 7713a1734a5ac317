"""Corrections by people: merge, split, confirm, reject, undo; they win for good."""

from collections.abc import Iterable
from dataclasses import dataclass

from streamreid.association.constraints import CameraPair, conflicts
from streamreid.association.ledger import Decision, Holding, Ledger, Numbers
from streamreid.engine.events import OperatorCommand
from streamreid.engine.tracks import Track
from streamreid.errors import AssociationError
from streamreid.types import IdentityId, TrackKey

_CERTAIN = Numbers(probability=1.0)


@dataclass(frozen=True, slots=True)
class Change:
    """What a track held before an operator changed it; None while it was undecided."""

    track: TrackKey
    before: Holding | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One command of an operator, with what it takes to undo it."""

    identities: frozenset[IdentityId]
    changes: tuple[Change, ...]


class Corrections:
    """Applies operator commands to the ledger and remembers how to undo them.

    Args:
        ledger: The ledger.
        tracks: All remembered tracks.
        disjoint: Camera pairs that cannot see one person at once.
    """

    def __init__(
        self, ledger: Ledger, tracks: dict[TrackKey, Track], disjoint: frozenset[CameraPair]
    ) -> None:
        self._ledger = ledger
        self._tracks = tracks
        self._disjoint = disjoint
        self._history: list[Operation] = []

    def apply(self, command: OperatorCommand, at_s: float) -> tuple[TrackKey, ...]:
        """Carry out a command.

        Args:
            command: What to do.
            at_s: Time of the ledger rows, epoch seconds.

        Returns:
            Tracks whose assignment changed or became fixed.

        Raises:
            AssociationError: If the command names unknown identities or tracks, or contradicts
                what was seen.
        """
        self._check(command)
        if command.verb == "undo":
            return self._undo(command, at_s)
        plan = {
            "merge": self._merge,
            "split": self._split,
            "confirm": self._confirm,
            "reject": self._reject,
        }[command.verb](command, at_s)
        changes = []
        for track, (identity_id, reason, other) in plan.items():
            changes.append(Change(track, self._ledger.holding(track)))
            numbers = Numbers(probability=1.0, runner_up_identity_id=other) if other else _CERTAIN
            self._write(track, identity_id, numbers, at_s, reason, command.actor, final=True)
        named = {identity_id for identity_id, _, _ in plan.values()} | {command.identity_id}
        if command.other_identity_id is not None:
            named.add(command.other_identity_id)
        self._history.append(Operation(frozenset(named), tuple(changes)))
        return tuple(plan)

    def restore(self, decisions: Iterable[Decision]) -> None:
        """Rebuild the memory of what can be undone from ledger rows, oldest first."""
        held: dict[TrackKey, Holding] = {}
        batch: list[tuple[Decision, Holding | None]] = []
        for row in decisions:
            if batch and not _same_operation(row, batch):
                self._remember(batch)
                batch = []
            if row.actor != "engine":
                batch.append((row, held.get(row.track)))
            held[row.track] = Holding(row.identity_id, row.revision, row.final)
        self._remember(batch)

    def _remember(self, batch: list[tuple[Decision, Holding | None]]) -> None:
        if not batch:
            return
        named = {row.identity_id for row, _ in batch}
        named |= {before.identity_id for _, before in batch if before is not None}
        if batch[0][0].reason == "undone":
            self._pop(named)
            return
        changes = tuple(Change(row.track, before) for row, before in batch)
        self._history.append(Operation(frozenset(named), changes))

    def _check(self, command: OperatorCommand) -> None:
        named = [command.identity_id]
        if command.verb in ("merge", "reject"):
            if command.other_identity_id is None or command.other_identity_id in named:
                raise AssociationError(
                    f"'{command.verb}' needs a second identity that differs from "
                    f"{command.identity_id}; name two"
                )
            named.append(command.other_identity_id)
        for identity_id in named if command.verb != "undo" else ():
            if not self._ledger.knows(identity_id):
                now = self._ledger.resolve(identity_id)
                hint = f"it became part of identity {now}" if now != identity_id else "no such id"
                raise AssociationError(
                    f"identity {identity_id} cannot be changed: {hint}; "
                    "see 'streamreid identity list'"
                )

    def _merge(
        self, command: OperatorCommand, _at_s: float
    ) -> dict[TrackKey, tuple[IdentityId, str, IdentityId | None]]:
        keep, gone = command.identity_id, self._other(command)
        ours, theirs = self._ledger.tracks_of(keep), self._ledger.tracks_of(gone)
        for first in ours:
            for second in theirs:
                one, other = self._tracks[first].span(), self._tracks[second].span()
                if conflicts(one, other, self._disjoint):
                    raise AssociationError(
                        f"identities {keep} and {gone} cannot be one person: tracks {first} and "
                        f"{second} were in cameras '{one.camera_id}' and '{other.camera_id}' at "
                        "the same time; split the wrong track off first"
                    )
        plan: dict[TrackKey, tuple[IdentityId, str, IdentityId | None]] = {
            track: (keep, "confirmed", None) for track in ours
        }
        return plan | {track: (keep, "merged", None) for track in theirs}

    def _split(
        self, command: OperatorCommand, at_s: float
    ) -> dict[TrackKey, tuple[IdentityId, str, IdentityId | None]]:
        ours = self._ledger.tracks_of(command.identity_id)
        wanted = self._wanted(command)
        if not wanted or len(wanted) == len(ours):
            raise AssociationError(
                f"'split' must name some of the {len(ours)} tracks of identity "
                f"{command.identity_id}, but not all; got {len(wanted)}"
            )
        fresh = self._ledger.new_identity(at_s)
        return {
            track: (fresh, "split", None)
            if track in wanted
            else (command.identity_id, "confirmed", None)
            for track in ours
        }

    def _confirm(
        self, command: OperatorCommand, _at_s: float
    ) -> dict[TrackKey, tuple[IdentityId, str, IdentityId | None]]:
        wanted = self._wanted(command) or set(self._ledger.tracks_of(command.identity_id))
        return {track: (command.identity_id, "confirmed", None) for track in sorted(wanted)}

    def _reject(
        self, command: OperatorCommand, _at_s: float
    ) -> dict[TrackKey, tuple[IdentityId, str, IdentityId | None]]:
        first, second = command.identity_id, self._other(command)
        plan: dict[TrackKey, tuple[IdentityId, str, IdentityId | None]] = {}
        for one, other in ((first, second), (second, first)):
            for track in self._ledger.tracks_of(one):
                plan[track] = (one, "rejected", other)
        return plan

    def _undo(self, command: OperatorCommand, at_s: float) -> tuple[TrackKey, ...]:
        operation = self._pop({command.identity_id})
        if operation is None:
            self.restore(command.rows)
            operation = self._pop({command.identity_id})
        if operation is None:
            raise AssociationError(
                f"there is no operator command about identity {command.identity_id} to undo"
            )
        changed = []
        for change in operation.changes:
            if change.before is None or change.track not in self._tracks:
                continue
            if not self._ledger.knows(change.before.identity_id):
                self._ledger.revive(change.before.identity_id, at_s=at_s)
            self._write(
                change.track,
                change.before.identity_id,
                _CERTAIN,
                at_s,
                "undone",
                command.actor,
                final=change.before.final,
            )
            changed.append(change.track)
        return tuple(changed)

    def _pop(self, named: set[IdentityId]) -> Operation | None:
        """Take the latest operation about any of these identities out of the history."""
        for number in range(len(self._history) - 1, -1, -1):
            if self._history[number].identities & named:
                return self._history.pop(number)
        return None

    def _write(
        self,
        track: TrackKey,
        identity_id: IdentityId,
        numbers: Numbers,
        at_s: float,
        reason: str,
        actor: str,
        *,
        final: bool,
    ) -> None:
        self._ledger.assign(
            track,
            identity_id,
            numbers,
            at_s=at_s,
            seen_at_s=self._tracks[track].seen_at_s,
            reason=reason,
            actor=actor,
            final=final,
            force=True,
        )

    def _wanted(self, command: OperatorCommand) -> set[TrackKey]:
        wanted = set(command.tracks)
        strangers = wanted - set(self._ledger.tracks_of(command.identity_id))
        if strangers:
            raise AssociationError(
                f"tracks {sorted(strangers)} do not belong to identity {command.identity_id}; "
                f"see 'streamreid identity show {command.identity_id}'"
            )
        return wanted

    def _other(self, command: OperatorCommand) -> IdentityId:
        if command.other_identity_id is None:
            raise AssociationError(f"'{command.verb}' needs a second identity")
        return command.other_identity_id


def _same_operation(row: Decision, batch: list[tuple[Decision, Holding | None]]) -> bool:
    """Whether a ledger row belongs to the operator command that wrote the rows before it."""
    first = batch[0][0]
    if (row.decided_at_s, row.actor) != (first.decided_at_s, first.actor):
        return False
    return all(row.track != other.track for other, _ in batch)
