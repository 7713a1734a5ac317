"""The names of all counters, and where each lies in a process' counter file.

The table is fixed: a file has one 8-byte slot per name, in this order, behind a header. Counters
are unsigned and only grow; gauges are floats. Adding a name changes `LAYOUT`, so files of another
version are recognised and left alone.
"""

import zlib
from typing import Literal, Protocol, get_args

from streamreid.messages import KINDS
from streamreid.transport.outbox import DROP_REASONS

Role = Literal["camera", "matcher"]
ROLES: tuple[Role, ...] = get_args(Role)

CommonCounter = Literal["turns"]
"""Loop turns: a process that stops counting them hangs."""

CameraCounter = Literal[
    "frames_decoded",
    "frames_detected",  # the detector ran
    "frames_idle",  # the motion gate found nothing
    "frames_skipped",  # live: a newer frame was there before the detector was free
    "frames_passed",  # of a file, read already by a worker before this one, which crashed
    "frames_rationed",  # left out because detect_fps or back-pressure asks for fewer
    "detections",
    "tracks_ended",
    "crops_withheld",  # good enough, not made into a message because of back-pressure
    "tracks_withheld",
    "decode_errors",
    "reconnects",
    "segments",
    "welcomes",  # times that a matcher accepted this worker
    "refusals",  # times that a matcher refused this worker's key
]

MatcherCounter = Literal[
    "messages_received",
    "messages_rejected",  # unreadable, from whomever
    "peers_refused",  # connections without an allowed key, or cut off
    "acks_unsent",  # the peer was gone; it will say hello again
    "crops_stored",
    "crops_duplicate",
    "crops_stale",
    "crops_disk_full",
    "crops_embedded",
    "batches",
    "decisions",
    "identities_created",
    "in_two_places",  # final tracks whose identity was in two places at once
    "gallery_evicted",
    "commits",
    "store_errors",
    "control_requests",
]

CounterName = CommonCounter | CameraCounter | MatcherCounter
"""Names of the counters."""

CommonGauge = Literal["started_at_s"]

CameraGauge = Literal[
    "source_state",  # index into SOURCE_STATES
    "time_source",  # index into TIME_SOURCES
    "frame_width",
    "frame_height",
    "people_now",
    "tracks_open",
    "last_frame_at_s",  # epoch seconds at which the last frame arrived
    "last_capture_at_s",  # capture time of that frame
    "last_ack_at_s",
    "connected",  # 1 while a matcher has welcomed this worker
    "complete",  # 1 once everything of a file is stored or refused; only Bye is left to say
    "passed_to_s",  # of a file: capture time up to which frames are passed over
    "reached_before_s",  # how far workers before this one had come, which crashed
    "pressure_level",  # 0 none, 1 fewer detections, 2 fewer crops, 3 fewer tracks
]

MatcherGauge = Literal[
    "identities_now",
    "gallery_crops",
    "shortlist_audited",  # queries that were also scored in full
    "shortlist_missed",  # of those: the best crop was not on the shortlist
    "shortlist_size",  # least size that the audits ask for; 0 before the first
    "undecided_tracks",
    "clock_warnings",  # cameras whose times are ignored because they do not fit
    "queue_depth",
    "watermark_at_s",
    "store_bytes",
    "wal_bytes",
    "disk_free_bytes",
    "disk_full",  # 1 while ingest is paused for want of space
    "ready",  # 1 once the process does its work
]

GaugeName = CommonGauge | CameraGauge | MatcherGauge
"""Names of the gauges."""


class Counters(Protocol):
    """The counters that a loop keeps up to date."""

    def add(self, name: CounterName, count: int = 1) -> None:
        """Raise a counter."""

    def set(self, name: GaugeName, value: float) -> None:
        """Set a gauge."""


SOURCE_STATES = ("starting", "connecting", "running", "waiting", "misconfigured", "ended", "failed")
"""`waiting`: between two attempts; `misconfigured`: refused (password, path), retried slowly."""

TIME_SOURCES = ("unknown", "rtcp", "arrival", "file")

LATENCY_BUCKETS_S = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8),
    *(1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0),
    *(10.0, 12.5, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0),
)
"""Upper bounds of the crop-to-row latency histogram; one more slot holds what is longer.

From 0.2 s on each is at most half as large again as the one before, mostly a quarter: fine enough
to see whether latency holds steady, and beyond the age at which crops are refused as stale.
"""

COUNTERS_OF: dict[Role, tuple[CounterName, ...]] = {
    "camera": (*get_args(CommonCounter), *get_args(CameraCounter)),
    "matcher": (*get_args(CommonCounter), *get_args(MatcherCounter)),
}
"""The counters that a process of each role keeps."""

GAUGES_OF: dict[Role, tuple[GaugeName, ...]] = {
    "camera": (*get_args(CommonGauge), *get_args(CameraGauge)),
    "matcher": (*get_args(CommonGauge), *get_args(MatcherGauge)),
}
"""The gauges that a process of each role keeps."""

COUNTER_NAMES: tuple[CounterName, ...] = tuple(dict.fromkeys(sum(COUNTERS_OF.values(), ())))
GAUGE_NAMES: tuple[GaugeName, ...] = tuple(dict.fromkeys(sum(GAUGES_OF.values(), ())))
BOOK_FIELDS = ("produced", "stored", *(f"dropped_{reason}" for reason in DROP_REASONS))
DEPTH_FIELDS = ("outbox", "in_flight")

U64_NAMES: tuple[str, ...] = (
    *(f"{kind}_{field}" for kind in KINDS for field in (*BOOK_FIELDS, *DEPTH_FIELDS)),
    *COUNTER_NAMES,
    *(f"latency_bucket_{index}" for index in range(len(LATENCY_BUCKETS_S) + 1)),
)
"""All unsigned slots, in file order; the float slots follow them."""

F64_NAMES: tuple[str, ...] = (*GAUGE_NAMES, "latency_sum_s")

LAYOUT = zlib.crc32("\n".join((*U64_NAMES, "", *F64_NAMES)).encode())
"""Digest of the table; a counter file with another digest belongs to another version."""

MAGIC = int.from_bytes(b"srcount1", "little")
VERSION_SLOT, PID_SLOT, CLOSED_SLOT, RING_SLOT = 2, 3, 4, 6
"""Where the header says what; before them stand `MAGIC` and `LAYOUT`, between them the incarnation.

The version counts changes of the books and is odd during one; the ring is the number of
acknowledged sequence numbers that the file holds per kind, behind everything else.
"""

_HEADER_SLOTS = 8
U64_SLOT = {name: _HEADER_SLOTS + index for index, name in enumerate(U64_NAMES)}
F64_SLOT = {name: _HEADER_SLOTS + len(U64_NAMES) + index for index, name in enumerate(F64_NAMES)}
RING_START = _HEADER_SLOTS + len(U64_NAMES) + len(F64_NAMES)
HEAD_BYTES = 8 * RING_START
"""Size of everything but the rings."""
