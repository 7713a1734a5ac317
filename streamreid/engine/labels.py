"""Gives every group of tracks its identity id, changing as few ids as possible."""

from streamreid.association.ledger import Ledger
from streamreid.types import IdentityId, Int64Array, TrackKey


def choose_labels(
    tracks: list[TrackKey], member: Int64Array, ledger: Ledger, at_s: float
) -> dict[int, IdentityId]:
    """Choose the identity of every group.

    A group with final tracks keeps their identity. Any other group takes the provisional identity
    that most of its tracks hold already, the older one when equal; what remains gets an id that was
    never used.

    Args:
        tracks: Track of every node.
        member: Group of every node, shape `(N,)`.
        ledger: Who holds what; new identities are created in it.
        at_s: Event time, epoch seconds.

    Returns:
        Identity of every group.
    """
    labels: dict[int, IdentityId] = {}
    claims: dict[tuple[int, IdentityId], int] = {}
    for track, group in zip(tracks, member.tolist(), strict=True):
        holding = ledger.holding(track)
        if holding is None:
            continue
        if holding.final:
            labels[group] = holding.identity_id
        else:
            key = (group, holding.identity_id)
            claims[key] = claims.get(key, 0) + 1
    taken = set(labels.values())
    for (group, identity_id), _ in sorted(
        claims.items(), key=lambda item: (-item[1], item[0][1], item[0][0])
    ):
        if group in labels or identity_id in taken or ledger.is_anchored(identity_id):
            continue
        labels[group] = identity_id
        taken.add(identity_id)
    for group in dict.fromkeys(member.tolist()):
        if group not in labels:
            labels[group] = ledger.new_identity(at_s)
    return labels
