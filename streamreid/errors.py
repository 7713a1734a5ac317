"""The error tree: every error that a user can cause or meet, with its exit code."""

import re
from typing import ClassVar

# Up to the last @: a password may hold / and @ although it should not; hiding too much is safe.
# The length is bounded so that a text made for it cannot keep the search busy for long.
_USERINFO = re.compile(r"://[^\s'\"<>]{0,4096}@")
_SECRET_FIELD = re.compile(r"(?i)\b(?P<key>pass(?:word|wd)?|pwd|token|secret|auth|key)=[^&\s'\"]+")


class StreamreidError(Exception):
    """Base of all errors that streamreid raises on purpose.

    The message says what happened, where, the value found, the values allowed and what to do.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str) -> None:
        super().__init__(mask_credentials(message))


class ConfigError(StreamreidError):
    """The configuration or the command line cannot be used."""

    exit_code = 2


class SourceError(StreamreidError):
    """A camera or a file cannot be opened or read."""

    exit_code = 3


class DetectorError(StreamreidError):
    """A detector cannot be loaded or run."""

    exit_code = 2


class WeightsError(StreamreidError):
    """A weights file is missing, damaged or of another kind than asked for."""

    exit_code = 2


class DeviceMemoryError(StreamreidError):
    """A GPU or the machine has no memory left for the work at hand."""


class DatasetError(StreamreidError):
    """A data set on disk does not have the layout or the names that its parser needs."""

    exit_code = 2


class MessageError(StreamreidError):
    """A message from another process cannot be read; it is counted and dropped.

    Attributes:
        reason: Word for counters: `parts`, `size`, `header`, `version`, `type`, `field`, `body`.
        kind: Kind of the message when that much could be read, else None.
        seq: Sequence number when it could be read, so that the sender can be told, else None.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "field",
        kind: str | None = None,
        seq: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.kind = kind
        self.seq = seq


class TransportError(StreamreidError):
    """A socket cannot be bound, connected or secured."""

    exit_code = 2


class StoreError(StreamreidError):
    """The database cannot be opened, read or written."""

    exit_code = 4


class StoreFullError(StoreError):
    """The disk or the allowed size is used up; the same write succeeds once there is room."""


class AssociationError(StreamreidError):
    """An operator's correction contradicts what was seen or names what does not exist."""

    exit_code = 2


class ControlError(StreamreidError):
    """A request through the control channel failed or nobody answers it."""

    exit_code = 2


def mask_credentials(text: str) -> str:
    """Replace user names, passwords and tokens in URLs inside `text` by `***`.

    Args:
        text: Any text that may carry URLs, such as a library's error message.

    Returns:
        The text without credentials.
    """
    masked = _USERINFO.sub("://***@", text)
    return _SECRET_FIELD.sub(r"\g<key>=***", masked)
