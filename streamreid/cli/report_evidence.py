"""Pictures of why the strongest matches of a store were made, drawn as `explain` draws them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamreid.cli.report_data import Picture, ReportData, Sighting
from streamreid.types import CameraId, IdentityId

if TYPE_CHECKING:
    from streamreid.types import UInt8Array

_JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Link:
    """A person seen in one camera and then in another, as the system decided.

    Attributes:
        identity_id: The person.
        before: The earlier sighting.
        after: The sighting that was joined to it.
        probability: Of the decision, in [0, 1].
    """

    identity_id: IdentityId
    before: Sighting
    after: Sighting
    probability: float


@dataclass(frozen=True, slots=True)
class EvidencePicture:
    """The drawing of one link.

    Attributes:
        identity_id: The person.
        from_camera_id: Camera of the left crop.
        to_camera_id: Camera of the right crop.
        decided: Probability of the decision, which knows all crops and times.
        pair: Probability by these two crops alone.
        jpeg: The drawing.
    """

    identity_id: IdentityId
    from_camera_id: CameraId
    to_camera_id: CameraId
    decided: float
    pair: float
    jpeg: bytes


def strongest_links(data: ReportData, count: int) -> list[Link]:
    """The most probable matches between two cameras, at most one for each person.

    Args:
        data: What the report shows.
        count: At most so many.
    """
    links = []
    for person in data.people:
        found = [
            Link(person.identity.identity_id, before, after, after.decision.probability)
            for before, after in zip(person.sightings, person.sightings[1:], strict=False)
            if before.track.camera_id != after.track.camera_id
            and before.pictures
            and after.pictures
            and after.decision is not None
            and after.decision.reason != "new"
        ]
        links += sorted(found, key=lambda link: -link.probability)[:1]
    return sorted(links, key=lambda link: (-link.probability, link.identity_id))[:count]


def weights_of_run(data: ReportData) -> str | None:
    """Name of the shipped weights that the last run used, None if it used others."""
    from streamreid.reid.weight_file import digest_of_file
    from streamreid.reid.weights import SHIPPED, path_of

    if not data.runs:
        return None
    digest = data.runs[-1].weights_digest
    return next((name for name in SHIPPED if digest_of_file(path_of(name)) == digest), None)


def draw_evidence(links: Sequence[Link], weights: str) -> tuple[EvidencePicture, ...]:
    """Compare the best crop of each side of each link and draw what matched.

    Args:
        links: From `strongest_links`.
        weights: Shipped name or `.safetensors` file.

    Raises:
        WeightsError: The weights cannot be loaded.
    """
    from streamreid.evaluation.draw import draw_match
    from streamreid.evaluation.evidence import explain_pairs
    from streamreid.reid.weights import load_model

    decoded = [(link, _best(link.before), _best(link.after)) for link in links]
    pairs = [(link, a, b) for link, a, b in decoded if a is not None and b is not None]
    if not pairs:
        return ()
    explained = explain_pairs(load_model(weights), [(a, b) for _, a, b in pairs])
    pictures = []
    for (link, a, b), pair in zip(pairs, explained, strict=True):
        cameras = (link.before.track.camera_id, link.after.track.camera_id)
        drawing = draw_match(a, b, pair.drawable, captions=cameras)
        pictures.append(
            EvidencePicture(
                link.identity_id, *cameras, link.probability, pair.probability, _jpeg(drawing)
            )
        )
    return tuple(pictures)


def _best(sighting: Sighting) -> "UInt8Array | None":
    """The best crop of a sighting as RGB, None when it cannot be read."""
    from streamreid.errors import StoreError
    from streamreid.store.pictures import decode_jpeg

    best: Picture = max(sighting.pictures, key=lambda picture: picture.quality)
    try:
        return decode_jpeg(best.jpeg)
    except StoreError:
        return None


def _jpeg(picture: "UInt8Array") -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
