"""SQLite: schema, migrations, the one writer, readers and exports."""

from streamreid.store.housekeeping import Disk, Housekeeper, Housekeeping, HousekeepingRules
from streamreid.store.reader import StoreReader, open_reader
from streamreid.store.restore import gallery_rows, last_event_s, restore, stored_seqs
from streamreid.store.retention import Removed, Retention
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
from streamreid.store.views import (
    CameraRow,
    CounterRow,
    CropPicture,
    DetectionRow,
    EventRow,
    IdentityRow,
    RunRow,
    TrackRow,
    TransitionRow,
)
from streamreid.store.writer import Committed, StoreWriter, open_store

__all__ = [
    "Batch",
    "CameraRow",
    "Committed",
    "CounterRow",
    "CropPicture",
    "CropRow",
    "DetectionRow",
    "DetectionRows",
    "Disk",
    "Drop",
    "EventRow",
    "GalleryRow",
    "Housekeeper",
    "Housekeeping",
    "HousekeepingRules",
    "IdentityRow",
    "MessageId",
    "OpenTrack",
    "OutboxEvent",
    "Removed",
    "Retention",
    "RunInfo",
    "RunRow",
    "StoreReader",
    "StoreWriter",
    "TrackEnd",
    "TrackRow",
    "TransitionRow",
    "gallery_rows",
    "last_event_s",
    "open_reader",
    "open_store",
    "restore",
    "stored_seqs",
]
