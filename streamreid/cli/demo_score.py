"""What the demo found against what is true: pairs of tracks, people, switches."""

from dataclasses import dataclass
from pathlib import Path

from streamreid.cli.store_tracks import FrameClock, looked_at, store_boxes
from streamreid.evaluation.clustering import ClusterFigures, cluster_figures
from streamreid.evaluation.track_files import TrackBoxes, boxes_of_rows
from streamreid.evaluation.track_people import people_of_tracks
from streamreid.evaluation.tracking_metrics import TrackingReport, evaluate_tracks
from streamreid.simulation.truth import SceneTruth
from streamreid.store.reader import open_reader
from streamreid.types import CameraId, IdentityId, TrackKey


@dataclass(frozen=True, slots=True)
class DemoScore:
    """How a run did on a drawn scene.

    Attributes:
        person_of: The true person of every track; None where the track follows nobody.
        identity_of: The identity of every track; None while undecided.
        figures: Agreement over the tracks that follow somebody; None when there is no such track.
        tracking: IDF1, HOTA, MOTA.
        look_alikes_apart: Whether no identity holds two look-alikes.
        sightings: True sightings.
    """

    person_of: dict[TrackKey, int | None]
    identity_of: dict[TrackKey, IdentityId | None]
    figures: ClusterFigures | None
    tracking: TrackingReport
    look_alikes_apart: bool
    sightings: int

    @property
    def pair_f1(self) -> float:
        """Pairwise F1 over tracks; 0 when no track follows anybody."""
        return 0.0 if self.figures is None else self.figures.pair_f1


def score_scene(store: Path, truth: SceneTruth, *, detect_fps: float = 5.0) -> DemoScore:
    """Compare a store with the truth of the scene it was made from.

    Args:
        store: The database of the run.
        truth: What was drawn.
        detect_fps: Detections a second of the run.

    Returns:
        The score.

    Raises:
        StoreError: If the store cannot be read.
    """
    clocks = {
        camera: FrameClock(start_s, truth.fps) for camera, start_s in truth.started_at_s.items()
    }
    true = {camera: _true_boxes(truth, camera) for camera in truth.boxes}
    with open_reader(store) as reader:
        tracks = store_boxes(reader, clocks, by="track")
        identities = store_boxes(reader, clocks, by="identity")
        identity_of = {row.track: row.identity_id for row in reader.tracks()}
    found = people_of_tracks(true, tracks)
    person_of = {track: found.get(int(track)) for track in identity_of}
    seen = {camera: looked_at(boxes, clocks[camera], detect_fps) for camera, boxes in true.items()}
    return DemoScore(
        person_of=person_of,
        identity_of=identity_of,
        figures=_figures(person_of, identity_of),
        tracking=evaluate_tracks(
            seen, identities, seconds=lambda camera, frame: clocks[camera].seconds(frame)
        ),
        look_alikes_apart=_apart(truth, person_of, identity_of),
        sightings=len(truth.sightings),
    )


def _true_boxes(truth: SceneTruth, camera: CameraId) -> TrackBoxes:
    return boxes_of_rows([(box.frame, box.person, *box.box_xyxy) for box in truth.boxes[camera]])


def _figures(
    person_of: dict[TrackKey, int | None], identity_of: dict[TrackKey, IdentityId | None]
) -> ClusterFigures | None:
    """Undecided tracks count as identities of their own: not yet linked to anybody."""
    tracks = [track for track, person in person_of.items() if person is not None]
    if not tracks:
        return None
    return cluster_figures(
        [person_of[track] for track in tracks],
        [
            f"track {track}" if identity_of[track] is None else f"identity {identity_of[track]}"
            for track in tracks
        ],
    )


def _apart(
    truth: SceneTruth,
    person_of: dict[TrackKey, int | None],
    identity_of: dict[TrackKey, IdentityId | None],
) -> bool:
    people: dict[IdentityId, set[int]] = {}
    for track, identity in identity_of.items():
        person = person_of[track]
        if identity is not None and person is not None:
            people.setdefault(identity, set()).add(person)
    return not any(
        len(group & set(alike)) > 1 for group in people.values() for alike in truth.look_alikes
    )
