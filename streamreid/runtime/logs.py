"""One log for all processes: JSON lines from every worker's stderr, merged, masked, written."""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from streamreid.errors import mask_credentials

LEVELS = ("debug", "info", "warning", "error", "critical")
Record = dict[str, Any]
Emit = Callable[[Record], None]

_MAX_LINE_BYTES = 64 * 1024
_FIRST_KEYS = ("timestamp", "level", "process", "event")


class LineSplitter:
    """Cuts what a pipe gives into lines of bounded length."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Complete lines so far; a line without end is cut at 64 KiB."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > _MAX_LINE_BYTES:
            lines.append(self._rest[:_MAX_LINE_BYTES])
            self._rest = self._rest[_MAX_LINE_BYTES:]
        return [line for line in lines if line.strip()]

    def finish(self) -> list[bytes]:
        """The last line, when it had no end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest.strip() else []


def parse_line(line: bytes, process: str) -> Record:
    """Read one line that a worker wrote; what is no JSON object becomes the event itself.

    Args:
        line: A line of the worker's stderr.
        process: Name of the worker.
    """
    text = mask_credentials(line.decode("utf-8", "replace").strip())
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        record = {"event": text, "level": "warning"}
    record["process"] = process
    if record.get("level") not in LEVELS:
        record["level"] = "info"
    return record


class LogWriter:
    """Writes records to one stream, as JSON lines or as text for people.

    Args:
        stream: Where to write; standard error by default.
        style: `json` or `text`.
        level: Lowest level that is written.
        now_s: Epoch seconds, for records without a timestamp.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        style: Literal["json", "text"],
        level: str = "info",
        now_s: Callable[[], float],
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._style = style
        self._lowest = LEVELS.index(level)
        self._now_s = now_s

    def __call__(self, record: Record) -> None:
        """Write one record."""
        if LEVELS.index(record.get("level", "info")) < self._lowest:
            return
        record.setdefault("timestamp", _iso(self._now_s()))
        render = render_json if self._style == "json" else render_text
        self._stream.write(render(record) + "\n")
        self._stream.flush()


def render_json(record: Mapping[str, Any]) -> str:
    """One line of JSON; control characters are escaped, so a value cannot forge a line."""
    ordered = {key: record[key] for key in _FIRST_KEYS if key in record}
    ordered.update((key, value) for key, value in record.items() if key not in ordered)
    return mask_credentials(json.dumps(ordered, default=str, ensure_ascii=True))


def render_text(record: Mapping[str, Any]) -> str:
    """One readable line."""
    time = str(record.get("timestamp", ""))[11:19]
    extra = " ".join(
        f"{key}={_printable(value)}" for key, value in record.items() if key not in _FIRST_KEYS
    )
    parts = (
        time,
        f"{record.get('level', 'info'):7}",
        _printable(record.get("process", "")),
        _printable(record.get("event", "")),
        extra,
    )
    return mask_credentials(" ".join(part for part in parts if part))


def _printable(value: object) -> str:
    """Text without control characters."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))


def _iso(now_s: float) -> str:
    """UTC time in ISO form."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
