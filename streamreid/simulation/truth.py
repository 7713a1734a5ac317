"""Ground truth of a scene: who was where, as values, MOT text and JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamreid.errors import DatasetError
from streamreid.simulation.network import Visit
from streamreid.simulation.scene import Scene, TrueBox
from streamreid.types import CameraId

TRUTH_FILE = "truth.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class TrueSighting:
    """One person in one camera without interruption.

    Attributes:
        person: True identity.
        camera_id: The camera.
        from_s: First moment in the picture, epoch seconds by the camera's clock.
        to_s: Last moment.
    """

    person: int
    camera_id: CameraId
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """The truth about a rendered scene.

    Attributes:
        fps: Frames a second of every camera.
        started_at_s: Capture time of each camera's first frame, epoch seconds.
        sightings: Who was where, when.
        look_alikes: Groups of people who wear the same.
        boxes: Per camera, the true boxes of every frame.
    """

    fps: float
    started_at_s: Mapping[CameraId, float]
    sightings: tuple[TrueSighting, ...]
    look_alikes: tuple[tuple[int, ...], ...]
    boxes: Mapping[CameraId, tuple[TrueBox, ...]]

    @property
    def people(self) -> frozenset[int]:
        """Everybody who is seen at least once."""
        return frozenset(sighting.person for sighting in self.sightings)


def sightings_of(
    boxes: Iterable[TrueBox], camera_id: CameraId, *, started_at_s: float, fps: float
) -> tuple[TrueSighting, ...]:
    """Join the boxes of one camera to sightings; a gap of more than a second starts a new one."""
    frames: dict[int, list[int]] = {}
    for box in boxes:
        frames.setdefault(box.person, []).append(box.frame)
    found: list[TrueSighting] = []
    for person, numbers in sorted(frames.items()):
        runs: list[list[int]] = []
        for number in sorted(numbers):
            if runs and number - runs[-1][-1] <= fps:
                runs[-1].append(number)
            else:
                runs.append([number])
        for run in runs:
            first, last = (started_at_s + (number - 1) / fps for number in (run[0], run[-1]))
            found.append(TrueSighting(person, camera_id, first, last))
    return tuple(found)


def write_truth(truth: SceneTruth, folder: Path) -> None:
    """Write `truth.json` and one MOT text per camera, `<camera>.gt.txt`, into `folder`."""
    for camera_id, boxes in truth.boxes.items():
        (folder / f"{camera_id}.gt.txt").write_text(mot_text(boxes), encoding="utf-8")
    content = {
        "streamreid_truth": _FORMAT,
        "fps": truth.fps,
        "cameras": {
            camera_id: {"started_at_s": started, "boxes": f"{camera_id}.gt.txt"}
            for camera_id, started in truth.started_at_s.items()
        },
        "look_alikes": [list(group) for group in truth.look_alikes],
        "sightings": [
            {
                "person": sighting.person,
                "camera": sighting.camera_id,
                "from_s": sighting.from_s,
                "to_s": sighting.to_s,
            }
            for sighting in truth.sightings
        ],
    }
    (folder / TRUTH_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def mot_text(boxes: Sequence[TrueBox]) -> str:
    """MOT text: `frame,id,x,y,w,h,1,-1,-1,-1`, frames from 1, pixels."""
    lines = []
    for box in sorted(boxes, key=lambda item: (item.frame, item.person)):
        left, top, right, low = box.box_xyxy
        size = f"{right - left:.2f},{low - top:.2f}"
        lines.append(f"{box.frame},{box.person},{left:.2f},{top:.2f},{size},1,-1,-1,-1\n")
    return "".join(lines)


def read_truth(folder: Path) -> SceneTruth:
    """Read what `write_truth` wrote.

    Raises:
        DatasetError: If `truth.json` or a file that it names is missing or of another kind.
    """
    path = folder / TRUTH_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("streamreid_truth") != _FORMAT:
            raise DatasetError(
                f"{path}: streamreid_truth is {content.get('streamreid_truth')!r}, this version "
                f"reads {_FORMAT}; draw the scene again with this version"
            )
        cameras = content["cameras"]
        return SceneTruth(
            fps=float(content["fps"]),
            started_at_s={CameraId(k): float(v["started_at_s"]) for k, v in cameras.items()},
            sightings=tuple(
                TrueSighting(
                    int(row["person"]),
                    CameraId(row["camera"]),
                    float(row["from_s"]),
                    float(row["to_s"]),
                )
                for row in content["sightings"]
            ),
            look_alikes=tuple(tuple(int(i) for i in group) for group in content["look_alikes"]),
            boxes={CameraId(k): _read_boxes(folder / v["boxes"]) for k, v in cameras.items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: not the truth of a drawn scene ({type(error).__name__}: {error}); "
            "draw it with `streamreid simulate video` or `streamreid demo`"
        ) from error


def _read_boxes(path: Path) -> tuple[TrueBox, ...]:
    boxes = []
    for line in path.read_text(encoding="utf-8").splitlines():
        frame, person, left, top, width, height = (float(value) for value in line.split(",")[:6])
        boxes.append(TrueBox(int(frame), int(person), (left, top, left + width, top + height)))
    return tuple(boxes)


def look_alikes_of(
    scene: Scene, alike: Iterable[Sequence[int]] = ()
) -> tuple[tuple[int, ...], ...]:
    """Groups of people in equal clothes, and those named in `alike`."""
    groups: dict[object, list[int]] = {}
    for number, outfit in enumerate(scene.outfits, start=1):
        groups.setdefault(outfit, []).append(number)
    same = [tuple(group) for group in groups.values() if len(group) > 1]
    return (*same, *(tuple(group) for group in alike))


def write_visits(visits: Sequence[Visit], path: Path) -> None:
    """Write simulated visits as CSV with a header line; times in seconds."""
    rows = ["person,camera,enter_s,leave_s,appearance,group,true_enter_s,true_leave_s\n"]
    rows += [
        f"{v.person},{v.camera_id},{v.enter_s:.3f},{v.leave_s:.3f},{v.appearance},{v.group},"
        f"{v.true_enter_s:.3f},{v.true_leave_s:.3f}\n"
        for v in visits
    ]
    path.write_text("".join(rows), encoding="utf-8")
