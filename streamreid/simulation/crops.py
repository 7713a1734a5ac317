"""Real crops at simulated times: people of a data-set folder walk through a simulated network."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid.errors import DatasetError, StoreError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.simulation.network import Network, Visit
from streamreid.simulation.truth import write_visits

FRAMES_PER_SECOND = 25
"""The clock of the written names, as in Market-1501."""

IMAGES = "bounding_box_test"
CLOCK = "clock.csv"
VISITS = "visits.csv"


@dataclass(frozen=True, slots=True)
class TimedCrop:
    """One crop of a simulated visit.

    Attributes:
        visit: The visit.
        captured_at_s: When, by the camera's clock, seconds.
        source: Image of the data set that stands for it.
    """

    visit: Visit
    captured_at_s: float
    source: Path


def choose_crops(
    visits: Sequence[Visit],
    network: Network,
    records: Sequence[ImageRecord],
    *,
    seed: int,
    per_visit: int = 4,
) -> tuple[TimedCrop, ...]:
    """Give every visit images of a person of the data set.

    People in the same clothes (`Visit.appearance`) get the same identity of the data set, so look-
    alikes really look alike. A simulated camera takes its images from one camera of the data set
    where that camera has the person, so that its light and angle stay the same.

    Args:
        visits: Simulated visits.
        network: Their network.
        records: Labelled images; identities below 1 (junk, distractors) are left out.
        seed: Chooses people and images.
        per_visit: Most crops per visit, spread over it.

    Returns:
        The crops in order of time.

    Raises:
        DatasetError: If the data set has fewer people than there are different appearances.
    """
    images: dict[int, dict[int, list[Path]]] = {}
    for record in records:
        if record.identity >= 1:
            images.setdefault(record.identity, {}).setdefault(record.camera, []).append(record.path)
    appearances = sorted({visit.appearance for visit in visits})
    if len(images) < len(appearances):
        raise DatasetError(
            f"the simulation needs {len(appearances)} different people, the data set has "
            f"{len(images)}; ask for fewer people, or for more look-alikes"
        )
    rng = np.random.default_rng(seed)
    # People seen by most cameras first: a change of camera should be a change of picture.
    ranked = sorted(images, key=lambda identity: (-len(images[identity]), identity))
    chosen = rng.permutation(ranked[: len(appearances)])
    identity_of = dict(zip(appearances, chosen.tolist(), strict=True))
    cameras = sorted({record.camera for record in records})
    camera_of = {
        node.camera_id: cameras[place % len(cameras)] for place, node in enumerate(network.nodes)
    }
    crops: list[TimedCrop] = []
    for visit in visits:
        own = images[identity_of[visit.appearance]]
        wanted = camera_of[visit.camera_id]
        pool = own.get(wanted) or own[sorted(own)[wanted % len(own)]]
        count = min(per_visit, len(pool))
        picked = sorted(rng.choice(len(pool), count, replace=False).tolist())
        for place, index in enumerate(picked):
            share = (place + 0.5) / count
            at_s = visit.enter_s + share * (visit.leave_s - visit.enter_s)
            crops.append(TimedCrop(visit, at_s, pool[index]))
    return tuple(sorted(crops, key=lambda crop: (crop.captured_at_s, crop.visit.person)))


def write_crops(
    crops: Sequence[TimedCrop],
    visits: Sequence[Visit],
    network: Network,
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write crops as a Market-like folder that `eval stream --dataset folder` reads.

    Names carry the true person, the camera's number (from 1, in the order of the network) and the
    frame at 25 a second, counted from the first visit.

    Args:
        crops: What to write.
        visits: All visits, for `visits.csv`.
        network: The cameras.
        folder: Target; `bounding_box_test/`, `clock.csv` and `visits.csv` are made in it.
        progress: Told how many crops are written after each of them.

    Raises:
        StoreError: If it cannot be written.
    """
    number = {node.camera_id: place + 1 for place, node in enumerate(network.nodes)}
    # Clocks may be behind: no frame number may become negative.
    first_s = min((crop.captured_at_s for crop in crops), default=0.0)
    try:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        for place, crop in enumerate(crops, start=1):
            frame = round((crop.captured_at_s - first_s) * FRAMES_PER_SECOND)
            camera = number[crop.visit.camera_id]
            name = f"{crop.visit.person:04d}_c{camera}s1_{frame:06d}_{place:06d}"
            shutil.copyfile(crop.source, folder / IMAGES / f"{name}{crop.source.suffix.lower()}")
            if progress is not None:
                progress(place)
        rows = [f"{camera},1,0\n" for camera in number.values()]
        (folder / CLOCK).write_text("camera,sequence,offset_frames\n" + "".join(rows), "utf-8")
        write_visits(visits, folder / VISITS)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot write the crops ({error}); choose another folder or free some space"
        ) from error
