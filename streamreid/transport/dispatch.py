"""In which order a worker's messages leave, once a matcher has given credits."""

import math
from collections.abc import Mapping

from streamreid.messages import Kind, Progress, encode
from streamreid.transport.link import WorkerLink
from streamreid.transport.marks import Marks
from streamreid.transport.outbox import Outbox


class Dispatcher:
    """Sends what may be sent.

    A live source lets a kind with credits overtake one without, except that a track's end waits for
    what was made before it. A file source keeps the order of making: a replay depends on it.

    Args:
        link: Connection to the matcher.
        boxes: What waits, per kind.
        marks: Progress marks between the messages.
        live: Which of the two rules holds.
    """

    def __init__(
        self, link: WorkerLink, boxes: Mapping[Kind, Outbox], marks: Marks, *, live: bool
    ) -> None:
        self._link = link
        self._boxes = boxes
        self._marks = marks
        self._live = live

    def send_ready(self) -> None:
        """Send everything that has a credit."""
        if not self._live:
            while self._send_oldest():
                pass
        elif self._flush("crop") and self._flush("detections") and self._flush("track"):
            self._send_mark()

    def _send_oldest(self) -> bool:
        """Send the oldest message or mark of all kinds; False when it has to wait."""
        oldest, kind = min((box.head_order, kind) for kind, box in self._boxes.items())
        if not math.isfinite(oldest) or self._marks.first_order < oldest:
            return self._send_mark()
        parts = self._boxes[kind].next_parts()
        if parts is None or not self._link.send(parts):
            return False
        self._boxes[kind].mark_sent()
        return True

    def _send_mark(self) -> bool:
        """Send the oldest progress mark unless something made before it waits."""
        boxes = self._boxes.values()
        captured_at_s = self._marks.next_s(min(box.head_order for box in boxes))
        if captured_at_s is None or not self._link.send(encode(Progress(captured_at_s))):
            return False
        self._marks.mark_told(min(box.oldest_order for box in boxes))
        return True

    def _flush(self, kind: Kind) -> bool:
        """Send what one outbox may send; False when the link takes no more."""
        box = self._boxes[kind]
        while (parts := box.next_parts()) is not None:
            if kind == "track" and self._overtakes(box):
                return True
            if not self._link.send(parts):
                return False
            box.mark_sent()
        return True

    def _overtakes(self, tracks: Outbox) -> bool:
        """True when a crop or detection made before the next track message is still unsent."""
        others = (self._boxes["crop"], self._boxes["detections"])
        return any(box.head_order < tracks.head_order for box in others)
