"""Turning messages into rows of the store and events of the engine, under their row ids."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamreid.engine.events import CropAdded, Event, TrackClosed, TrackSeen
from streamreid.gallery.scorer import Embeddings, GalleryEntry, Scorer
from streamreid.messages import CropMessage, DetectionsMessage, Hello, TrackMessage
from streamreid.runtime.merge import Sequenced
from streamreid.store.rows import CropRow, DetectionRows, MessageId, TrackEnd
from streamreid.store.writer import StoreWriter
from streamreid.types import (
    CameraId,
    Crop,
    TimeSource,
    TrackId,
    TrackKey,
    UInt8Array,
)

_JPEG_QUALITY = 90


@dataclass(slots=True)
class Item:
    """One message on its way through the matcher.

    Attributes:
        message: What it is acknowledged by; None for what the matcher found out itself.
        at_s: Its place in event time, epoch seconds.
        events: What the engine is told once it is committed.
        crop: The crop, for crop messages.
        rows: Detection rows, for detections messages.
        end: The end of a track, for track messages.
        entry: Gallery entry of the crop.
        embedding: What the network made of the crop.
    """

    message: MessageId | None
    at_s: float
    events: tuple[Event, ...]
    crop: Crop | None = None
    rows: DetectionRows | None = None
    end: TrackEnd | None = None
    entry: GalleryEntry | None = None
    embedding: Embeddings | None = None


class Intake:
    """Gives everything that arrives its row ids.

    Args:
        writer: The store, which reserves the ids.
        urls: Address of each camera without credentials.
        weights_digest: Digest of the weights that make the feature maps.
        keep_crops: Whether pictures are stored.
    """

    def __init__(
        self,
        writer: StoreWriter,
        *,
        urls: Mapping[CameraId, str],
        weights_digest: str,
        keep_crops: bool,
    ) -> None:
        self._writer = writer
        self._urls = urls
        self._weights_digest = weights_digest
        self._keep_crops = keep_crops
        self._time_source: dict[CameraId, TimeSource] = {}
        # In the order of the file, not of the first Hello, so that row ids never depend on timing.
        for camera_id, url in urls.items():
            writer.register_camera(camera_id, url=url)

    def hello(self, hello: Hello) -> list[Item]:
        """A worker is there: make its rows; gives the ends of tracks that a dead one left open."""
        self._time_source[hello.camera_id] = hello.time_source
        self._writer.register_camera(
            hello.camera_id,
            url=self._urls[hello.camera_id],
            width=hello.width,
            height=hello.height,
            time_source=hello.time_source,
        )
        self._writer.register_stream(hello.camera_id, hello.incarnation)
        lost = self._writer.open_tracks(hello.camera_id, except_incarnation=hello.incarnation)
        return [
            Item(
                message=None,
                at_s=track.seen_at_s,
                end=TrackEnd(None, track.track, track.started_at_s, track.seen_at_s, "lost"),
                events=(
                    TrackClosed(
                        track.track, track.camera_id, track.started_at_s, track.seen_at_s, "lost"
                    ),
                ),
            )
            for track in lost
        ]

    def item(self, sequenced: Sequenced) -> Item:
        """Rows and events of one message; ids are reserved, nothing is written yet."""
        message = sequenced.message
        if isinstance(message, CropMessage):
            return self._crop_item(sequenced, message)
        if isinstance(message, DetectionsMessage):
            return self._rows_item(sequenced, message)
        return self._end_item(sequenced, message)

    def embed(self, items: Sequence[Item], scorer: Scorer) -> None:
        """Run the feature network on the crops of a batch, together."""
        embeddings = scorer.embed([item.crop.image for item in items if item.crop is not None])
        for index, item in enumerate(items):
            item.embedding = Embeddings(
                (embeddings.maps[index],), embeddings.vectors[index : index + 1]
            )

    def crop_rows(self, items: Iterable[Item]) -> tuple[CropRow, ...]:
        """Rows of the embedded crops among some items."""
        return tuple(self._crop_row(item) for item in items if item.crop is not None)

    def _crop_item(self, sequenced: Sequenced, message: CropMessage) -> Item:
        crop = message.crop
        name = MessageId(sequenced.camera_id, sequenced.incarnation, "crop", message.seq)
        track = self._track(sequenced, crop.track_id, crop.track_started_at_s)
        key = self._writer.reserve_crop()
        event = CropAdded(
            track=track,
            camera_id=sequenced.camera_id,
            entry_id=key,
            captured_at_s=crop.captured_at_s,
            track_started_at_s=crop.track_started_at_s,
            quality=crop.quality,
            time_source=self._time_source.get(sequenced.camera_id, "arrival"),
        )
        entry = GalleryEntry(key, sequenced.camera_id, track, crop.captured_at_s)
        return Item(name, sequenced.at_s, (event,), crop=crop, entry=entry)

    def _rows_item(self, sequenced: Sequenced, message: DetectionsMessage) -> Item:
        name = MessageId(sequenced.camera_id, sequenced.incarnation, "detections", message.seq)
        keys: dict[int, TrackKey] = {}
        events: list[Event] = []
        for track_id in np.unique(message.track_id).tolist():
            mine = message.track_id == track_id
            started_at_s = float(message.track_started_at_s[mine].min())
            keys[track_id] = self._track(sequenced, TrackId(track_id), started_at_s)
            # One for every second, as the store gives them back: what is known at a point of the
            # decision grid must not depend on how a camera fills its messages.
            times_s = sorted(message.captured_at_s[mine].tolist())
            events += [
                TrackSeen(keys[track_id], sequenced.camera_id, started_at_s, time_s)
                for time_s in {math.floor(time_s): time_s for time_s in times_s}.values()
            ]
        rows = DetectionRows(
            message=name,
            track=np.array([keys[number] for number in message.track_id.tolist()], np.int64),
            captured_at_s=message.captured_at_s,
            boxes_xyxy=message.boxes_xyxy,
            confidence=message.confidence,
        )
        return Item(name, sequenced.at_s, tuple(events), rows=rows)

    def _end_item(self, sequenced: Sequenced, message: TrackMessage) -> Item:
        track = message.track
        name = MessageId(sequenced.camera_id, sequenced.incarnation, "track", message.seq)
        key = self._track(sequenced, track.track_id, track.started_at_s)
        event = TrackClosed(
            key, sequenced.camera_id, track.started_at_s, track.ended_at_s, track.reason
        )
        return Item(name, sequenced.at_s, (event,), end=TrackEnd.of(name, key, track))

    def _track(self, sequenced: Sequenced, track_id: TrackId, started_at_s: float) -> TrackKey:
        return self._writer.track_key(
            sequenced.camera_id, sequenced.incarnation, track_id, started_at_s
        )

    def _crop_row(self, item: Item) -> CropRow:
        crop, entry, embedding = item.crop, item.entry, item.embedding
        if crop is None or entry is None or embedding is None or item.message is None:
            raise ValueError("a crop must be embedded before it is stored")
        return CropRow(
            message=item.message,
            key=entry.entry_id,
            track=entry.track,
            captured_at_s=crop.captured_at_s,
            box_xyxy=crop.box_xyxy,
            confidence=crop.confidence,
            quality=crop.quality,
            jpeg=encode_jpeg(crop.image) if self._keep_crops else None,
            vector=embedding.vectors[0].astype("<f2").tobytes(),
            feature_map=embedding.maps[0],
            weights_digest=self._weights_digest,
        )


def encode_jpeg(image: UInt8Array) -> bytes:
    """An RGB picture `(H, W, 3)` as JPEG."""
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    return bytes(data)
