"""Corrections by people: the same function for a running matcher and for a store at rest."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from streamreid.association.constraints import CameraPair
from streamreid.control import Arguments, Caller
from streamreid.engine.engine import Engine
from streamreid.engine.events import OperatorCommand, Outcome, RestoredState
from streamreid.engine.settings import EngineSettings
from streamreid.errors import AssociationError, ControlError
from streamreid.gallery.scorer import Candidates, Embeddings, GalleryEntry, Scores
from streamreid.runtime.desk import Desk
from streamreid.store.people import known_people
from streamreid.store.rows import Batch
from streamreid.store.writer import StoreWriter
from streamreid.types import CropKey, IdentityId, TrackKey, UInt8Array

VERBS: tuple[str, ...] = get_args(OperatorCommand.__annotations__["verb"])
"""What an operator can do to identities."""

PREFIX = "identity."


class NoScorer:
    """For a store at rest: nobody looks alike, nothing is decided."""

    def embed(self, crops: Sequence[UInt8Array]) -> Embeddings:
        """Nothing is embedded."""
        del crops
        return Embeddings((), np.zeros((0, 0), np.float32))

    def insert(self, entries: Sequence[GalleryEntry], embeddings: Embeddings) -> None:
        """Nothing is kept."""

    def evict(self, *, before_s: float) -> int:
        """Nothing is there."""
        del before_s
        return 0

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        """Nothing is there."""
        del entry_ids
        return 0

    def candidates(
        self,
        query: Sequence[CropKey],
        k: int,
        *,
        exclude_tracks: Sequence[TrackKey] = (),
        before_s: float = math.inf,
    ) -> Candidates:
        """Nobody."""
        del query, k, exclude_tracks, before_s
        return Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))

    def score(self, query: Sequence[CropKey], groups: Sequence[Sequence[CropKey]]) -> Scores:
        """Unknown for everybody."""
        del query
        return Scores(np.full(len(groups), np.nan, np.float32))

    def __len__(self) -> int:
        return 0


class CorrectionDesk(Desk):
    """Answers `identity.*` requests of operators inside a running matcher."""

    def handle(self, verb: str, arguments: Arguments, caller: Caller) -> Mapping[str, Any]:
        """Carry out one correction; see `Desk`."""
        del caller
        command = _with_rows(command_of(verb, arguments), self.writer)
        outcome = self.engine.observe(command, self.now_s())
        self.commit(outcome)
        _audit(self.writer, command)
        return summary_of(command, outcome)


def command_of(verb: str, arguments: Arguments) -> OperatorCommand:
    """An operator command from a control request.

    Args:
        verb: Such as `identity.merge`.
        arguments: `identity`, and `other`, `tracks`, `actor` where the verb wants them.

    Raises:
        ControlError: If the verb or an argument is unknown or of another kind.
    """
    name = verb.removeprefix(PREFIX)
    if not verb.startswith(PREFIX) or name not in VERBS:
        known = ", ".join(PREFIX + one for one in VERBS)
        raise ControlError(f"the matcher does not know '{verb}': it knows {known}")
    try:
        other = arguments.get("other")
        return OperatorCommand(
            name,  # type: ignore[arg-type]
            IdentityId(int(arguments["identity"])),
            None if other is None else IdentityId(int(other)),
            tuple(TrackKey(int(track)) for track in arguments.get("tracks", ())),
            actor=str(arguments.get("actor", "operator"))[:64],
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise ControlError(f"'{verb}' needs the number of an identity: {exc}") from exc


def correct_at_rest(
    writer: StoreWriter,
    command: OperatorCommand,
    disjoint: frozenset[CameraPair],
    *,
    at_s: float,
) -> Mapping[str, Any]:
    """Carry out a correction on a store that no matcher uses.

    Args:
        writer: The store, opened for writing.
        command: What to do.
        disjoint: Camera pairs that cannot see one person at once.
        at_s: Time of the ledger rows, epoch seconds.

    Raises:
        AssociationError: If the correction is not possible.
    """
    people = known_people(writer.connection, _named(command))
    if not people.tracks:
        raise AssociationError(
            f"the store has no identity {command.identity_id} with tracks; "
            "see 'streamreid identity list'"
        )
    engine = Engine(NoScorer(), settings=EngineSettings(disjoint=disjoint))
    engine.restore(
        RestoredState(people.tracks, people.identities, people.rows, (), people.next_identity_id)
    )
    outcome = engine.correct(command, at_s)
    writer.commit(Batch(outcome=outcome))
    _audit(writer, command)
    return summary_of(command, outcome)


def summary_of(command: OperatorCommand, outcome: Outcome) -> dict[str, Any]:
    """What a correction changed, for the answer to the operator."""
    mine = [row for row in outcome.decisions if row.actor == command.actor]
    return {
        "verb": command.verb,
        "identity": command.identity_id,
        "tracks": {str(row.track): row.identity_id for row in mine},
        "reasons": {str(row.track): row.reason for row in mine},
    }


def _named(command: OperatorCommand) -> list[IdentityId]:
    other = command.other_identity_id
    return [command.identity_id] if other is None else [command.identity_id, other]


def _with_rows(command: OperatorCommand, writer: StoreWriter) -> OperatorCommand:
    """The same command with what the engine may have forgotten."""
    people = known_people(writer.connection, _named(command))
    return OperatorCommand(
        command.verb,
        command.identity_id,
        command.other_identity_id,
        command.tracks,
        command.actor,
        known=people.tracks,
        rows=people.rows,
        identities=people.identities,
    )


def _audit(writer: StoreWriter, command: OperatorCommand) -> None:
    other = command.other_identity_id
    writer.audit(
        command.actor,
        PREFIX + command.verb,
        {
            "identity": int(command.identity_id),
            "other": None if other is None else int(other),
            "tracks": ",".join(str(track) for track in command.tracks),
        },
    )
