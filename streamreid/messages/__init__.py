"""The only contract between camera workers and matcher: message values and their bytes."""

from streamreid.messages.decode import decode_matcher, decode_worker
from streamreid.messages.encode import encode
from streamreid.messages.limits import (
    MAX_ACK_ITEMS,
    MAX_DETECTION_ROWS,
    MAX_HEADER_BYTES,
    MAX_PART_BYTES,
    PROTOCOL_VERSION,
)
from streamreid.messages.values import (
    DISPOSITIONS,
    KINDS,
    Ack,
    Bye,
    CropMessage,
    DetectionsMessage,
    Disposition,
    Goodbye,
    Heard,
    Hello,
    Kind,
    MatcherMessage,
    Progress,
    TrackMessage,
    Welcome,
    Who,
    WorkerMessage,
)

__all__ = [
    "DISPOSITIONS",
    "KINDS",
    "MAX_ACK_ITEMS",
    "MAX_DETECTION_ROWS",
    "MAX_HEADER_BYTES",
    "MAX_PART_BYTES",
    "PROTOCOL_VERSION",
    "Ack",
    "Bye",
    "CropMessage",
    "DetectionsMessage",
    "Disposition",
    "Goodbye",
    "Heard",
    "Hello",
    "Kind",
    "MatcherMessage",
    "Progress",
    "TrackMessage",
    "Welcome",
    "Who",
    "WorkerMessage",
    "decode_matcher",
    "decode_worker",
    "encode",
]
