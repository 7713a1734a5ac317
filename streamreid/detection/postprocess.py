"""From what a network returns to boxes of people in the frame; numpy only."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from streamreid.detection.detector import MAX_DETECTIONS, suppress_doubles
from streamreid.errors import DetectorError
from streamreid.pictures import Letterbox, letterbox_rgb
from streamreid.types import Detections, Float32Array, Frame, UInt8Array

OutputKind = Literal["people", "end2end", "dense"]
"""`people` `(B, A, 5)`: x1 y1 x2 y2 score, made by our own export. `end2end` `(B, N, 6)`: x1 y1 x2
y2 score class. `dense` `(B, 4 + classes, A)`: x y w h of the centre, then one score per class."""

STRIDE = 32


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """What a detector file takes and gives.

    Attributes:
        output: Kind of the output.
        person_class: Number of the class `person`.
        bytes_input: True: uint8 `(B, H, W, 3)`; False: float32 `(B, 3, H, W)` in [0, 1].
        fixed_size: Width and height it insists on, or None where any multiple of 32 will do.
        fixed_batch: Batch it insists on, or None.
    """

    output: OutputKind
    person_class: int = 0
    bytes_input: bool = True
    fixed_size: tuple[int, int] | None = None
    fixed_batch: int | None = None


def input_size(frame: Frame, long_side: int) -> tuple[int, int]:
    """Width and height of the network's input for a frame: its shape, in multiples of 32.

    Args:
        frame: The frame.
        long_side: Longer side of the input in pixels.
    """
    scale = long_side / max(frame.width, frame.height)
    width = max(STRIDE, int(np.ceil(frame.width * scale / STRIDE - 1e-6)) * STRIDE)
    height = max(STRIDE, int(np.ceil(frame.height * scale / STRIDE - 1e-6)) * STRIDE)
    return width, height


def prepare_batch(
    frames: list[Frame], size: tuple[int, int], layout: ModelLayout
) -> tuple[list[Letterbox], UInt8Array | Float32Array]:
    """Letterbox frames into one input batch.

    Args:
        frames: Frames of any size.
        size: Width and height of the input.
        layout: What the model takes.

    Returns:
        The letterboxes and the batch: uint8 `(B, H, W, 3)` or float32 `(B, 3, H, W)`.
    """
    boxes = [letterbox_rgb(frame, size) for frame in frames]
    pictures = np.stack([box.image for box in boxes])
    if layout.bytes_input:
        return boxes, pictures
    planar = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
    planar *= np.float32(1.0 / 255.0)
    return boxes, planar


def people_of(
    output: Float32Array, letterbox: Letterbox, frame: Frame, layout: ModelLayout, confidence: float
) -> Detections:
    """The people in one frame.

    Args:
        output: Output of the network for this frame, without the batch axis.
        letterbox: How the frame was fitted in.
        frame: The frame.
        layout: What the model gives.
        confidence: Weakest score to report, in [0, 1].

    Returns:
        Detections in pixels of the frame, most confident first, at most `MAX_DETECTIONS`.

    Raises:
        DetectorError: The output does not have the shape that the layout promises.
    """
    boxes, scores = _boxes_and_scores(output, layout)
    # NaN compares false, so a network that went wrong reports nobody instead of nonsense.
    kept = np.flatnonzero((scores >= confidence) & np.isfinite(boxes).all(axis=1))
    kept = kept[np.argsort(-scores[kept], kind="stable")][:MAX_DETECTIONS]
    boxes, scores = boxes[kept], scores[kept]
    if layout.output == "dense":
        half = boxes[:, 2:] / 2
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    found = suppress_doubles(Detections(boxes.astype(np.float32), scores.astype(np.float32)))
    in_frame = letterbox.to_frame_boxes(found.boxes_xyxy, frame)
    sides = in_frame[:, 2:] - in_frame[:, :2]
    sound = (sides >= 1.0).all(axis=1)
    return Detections(in_frame[sound], np.clip(found.confidence[sound], 0.0, 1.0))


def _boxes_and_scores(
    output: Float32Array, layout: ModelLayout
) -> tuple[Float32Array, Float32Array]:
    if layout.output == "people" and output.ndim == 2 and output.shape[1] == 5:
        return output[:, :4], output[:, 4]
    if layout.output == "end2end" and output.ndim == 2 and output.shape[1] >= 6:
        person = output[:, 5] == layout.person_class
        return output[person, :4], output[person, 4]
    if layout.output == "dense" and output.ndim == 2 and output.shape[0] > 4 + layout.person_class:
        return output[:4].T, output[4 + layout.person_class]
    raise DetectorError(
        f"the detector returned {output.shape} per frame, which is no '{layout.output}' output; "
        "export the weights again"
    )
