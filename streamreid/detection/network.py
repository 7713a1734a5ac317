"""A detector that is a network: frames in, people out, whatever library runs it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from streamreid.detection.postprocess import ModelLayout, input_size, people_of, prepare_batch
from streamreid.errors import DetectorError
from streamreid.types import Detections, Float32Array, Frame, UInt8Array


class NetworkDetector(ABC):
    """People by a YOLO network.

    Args:
        layout: What the model takes and gives.
        backend: What runs it, as told in `description` and in errors.
        confidence: Weakest detection to report, in [0, 1].
        long_side: Longer side of the input in pixels, where the model takes any.
        name: What to call the weights in `description`.
    """

    def __init__(
        self,
        layout: ModelLayout,
        *,
        backend: str,
        confidence: float,
        long_side: int,
        name: str,
    ) -> None:
        self._layout = layout
        self._backend = backend
        self._confidence = confidence
        self._long_side = long_side
        self._name = name

    @property
    def description(self) -> str:
        """Kind, weights and back-end, as recorded with a run."""
        return f"yolo {self._name} ({self._backend}, {self._long_side} px)"

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Find the people in each frame.

        Args:
            frames: Frames of any size; those that make inputs of one size run as one batch.

        Returns:
            One `Detections` per frame in pixels of the full frame, most confident first.

        Raises:
            DetectorError: The back-end failed, or its output is not what the layout promises.
        """
        groups: dict[tuple[int, int], list[int]] = {}
        for row, frame in enumerate(frames):
            size = self._layout.fixed_size or input_size(frame, self._long_side)
            groups.setdefault(size, []).append(row)
        found: list[Detections] = [Detections.empty()] * len(frames)
        for size, rows in groups.items():
            chosen = [frames[row] for row in rows]
            letterboxes, batch = prepare_batch(chosen, size, self._layout)
            output = self._run(batch)
            for row, frame, letterbox, one in zip(rows, chosen, letterboxes, output, strict=True):
                found[row] = people_of(one, letterbox, frame, self._layout, self._confidence)
        return found

    @abstractmethod
    def _infer(self, batch: UInt8Array | Float32Array) -> Float32Array:
        """Output of the network for a batch, with the batch axis."""

    def _run(self, batch: UInt8Array | Float32Array) -> Float32Array:
        try:
            return self._infer(batch)
        except (RuntimeError, ValueError) as error:
            raise DetectorError(f"{self._name}: {self._backend} failed ({error})") from error
