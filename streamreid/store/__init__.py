"""SQLite: schema, migrations, the one writer, readers and exports."""

from streamreid.store.restore import gallery_rows, last_event_s, restore, stored_seqs
from streamreid.store.rows import (
    Batch,
    CropRow,
    DetectionRows,
    Drop,
    GalleryRow,
    MessageId,
    OpenTrack,
    OutboxEvent,
    RunInfo,
    TrackEnd,
)
from streamreid.store.writer import Committed, StoreWriter, open_store

__all__ = [
    "Batch",
    "Committed",
    "CropRow",
    "DetectionRows",
    "Drop",
    "GalleryRow",
    "MessageId",
    "OpenTrack",
    "OutboxEvent",
    "RunInfo",
    "StoreWriter",
    "TrackEnd",
    "gallery_rows",
    "last_event_s",
    "open_store",
    "restore",
    "stored_seqs",
]
