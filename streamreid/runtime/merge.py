"""Ordering the messages of all cameras: as they come when live, by capture time in a replay."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from streamreid.messages import CropMessage, DetectionsMessage, TrackMessage
from streamreid.types import CameraId

Content = CropMessage | DetectionsMessage | TrackMessage
"""The messages that carry something to store; the rest only steers the conversation."""


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A message with the place of its camera in time.

    Attributes:
        camera_id: Camera that sent it.
        incarnation: Incarnation of that camera's worker.
        message: The message itself.
        at_s: How far the camera had come when it sent the message, epoch seconds of capture time.
    """

    camera_id: CameraId
    incarnation: int
    message: Content
    at_s: float


class Merger(Protocol):
    """Takes messages in arrival order and gives them back in the order of processing."""

    def add(self, camera_id: CameraId, incarnation: int, message: Content) -> None:
        """Take one message."""

    def progress(self, camera_id: CameraId, captured_at_s: float) -> None:
        """Nothing captured before `captured_at_s` will follow from this camera."""

    def end(self, camera_id: CameraId) -> None:
        """Nothing at all will follow from this camera."""

    def ready(self) -> Iterator[Sequenced]:
        """Yield what may be processed now."""

    def __len__(self) -> int:
        """Number of messages that wait."""


def newest_capture_s(message: Content) -> float:
    """Latest capture time that a message speaks of, epoch seconds."""
    if isinstance(message, CropMessage):
        return message.crop.captured_at_s
    if isinstance(message, TrackMessage):
        return message.track.ended_at_s
    return float(message.captured_at_s.max()) if len(message.captured_at_s) else float("-inf")


class ArrivalOrder:
    """Live cameras: first come, first served; a dead camera delays nobody."""

    def __init__(self) -> None:
        self._waiting: deque[Sequenced] = deque()

    def add(self, camera_id: CameraId, incarnation: int, message: Content) -> None:
        """Take one message."""
        item = Sequenced(camera_id, incarnation, message, newest_capture_s(message))
        self._waiting.append(item)

    def progress(self, camera_id: CameraId, captured_at_s: float) -> None:
        """Order of arrival needs no watermark."""

    def end(self, camera_id: CameraId) -> None:
        """Order of arrival needs no end."""

    def ready(self) -> Iterator[Sequenced]:
        """Yield everything that has arrived."""
        while self._waiting:
            yield self._waiting.popleft()

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(slots=True)
class _Lane:
    """One camera of a replay: what waits, and how far the camera has come."""

    waiting: deque[Sequenced] = field(default_factory=deque)
    position_s: float = float("-inf")
    ended: bool = False

    def frontier_s(self) -> float:
        """Earliest time at which this camera may still have something to say."""
        if self.waiting:
            return self.waiting[0].at_s
        return float("inf") if self.ended else self.position_s


class ReplayOrder:
    """Files: by (capture time, camera, order of sending), behind the slowest camera's watermark.

    The result depends on the messages alone, never on which process was faster.

    Args:
        cameras: Every camera that will take part; until one has spoken, nothing is released.
    """

    def __init__(self, cameras: Iterable[CameraId]) -> None:
        self._lanes = {camera_id: _Lane() for camera_id in sorted(cameras)}

    def add(self, camera_id: CameraId, incarnation: int, message: Content) -> None:
        """Take one message; its place is as far as its camera has come."""
        lane = self._lanes[camera_id]
        lane.position_s = max(lane.position_s, newest_capture_s(message))
        lane.waiting.append(Sequenced(camera_id, incarnation, message, lane.position_s))

    def progress(self, camera_id: CameraId, captured_at_s: float) -> None:
        """Let the other cameras go on up to `captured_at_s`."""
        lane = self._lanes[camera_id]
        lane.position_s = max(lane.position_s, captured_at_s)

    def end(self, camera_id: CameraId) -> None:
        """Wait for this camera no longer."""
        self._lanes[camera_id].ended = True

    def ready(self) -> Iterator[Sequenced]:
        """Yield messages while no camera that is still behind could come before them."""
        while True:
            _, camera_id = min(
                (lane.frontier_s(), camera_id) for camera_id, lane in self._lanes.items()
            )
            waiting = self._lanes[camera_id].waiting
            if not waiting:
                return
            yield waiting.popleft()

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())
