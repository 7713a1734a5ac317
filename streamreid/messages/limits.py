"""How large a message may be; checked on both sides before anything is allocated."""

PROTOCOL_VERSION = 1
"""First element of every header; a reader refuses every other number."""

MAX_HEADER_BYTES = 16 * 1024
"""Bytes of a msgpack header."""

MAX_PART_BYTES = 1024 * 1024 - 1024
"""Bytes of a body part: just below the socket limit of 1 MiB, which counts CURVE's bytes too."""

MAX_CROP_SIDE_PX = 4096
"""Width and height of a crop; width * height * 3 must also fit into MAX_PART_BYTES."""

MAX_DETECTION_ROWS = 4096
"""Rows in one detections message."""

MAX_ACK_ITEMS = 512
"""Sequence numbers in one acknowledgement."""

MAX_INT = 2**63 - 1
"""Largest integer that the store can hold."""

MAX_ABS_TIME_S = 1e11
"""Epoch seconds are refused beyond this."""

MAX_ABS_PX = 1e6
"""Pixel coordinates are refused beyond this."""
