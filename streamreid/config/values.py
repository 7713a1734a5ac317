"""The kinds of values in cams.yaml that YAML does not know: durations, sizes, polygons, times."""

import re
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|min|m|h|d)")
_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZE_UNITS = {
    **{"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
}
MAX_DURATION_S = 10 * 366 * 86400.0
MAX_POLYGON_POINTS = 1000

Polygon = tuple[tuple[float, float], ...]
"""Corners (x, y) in full-frame pixels, at least three."""


def parse_duration(value: object) -> float:
    """Read a duration with its unit, such as `90s`, `2h`, `1h30m` or `20ms`.

    Args:
        value: What stands in the file.

    Returns:
        Seconds.

    Raises:
        ValueError: If there is no unit, or it is longer than ten years.
    """
    text = value.strip() if isinstance(value, str) else ""
    parts = list(_DURATION_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        raise ValueError("needs a number and a unit (ms, s, m, h or d), such as 90s, 2h or 1h30m")
    total_s = sum(float(part[1]) * _DURATION_UNITS_S[part[2]] for part in parts)
    if total_s > MAX_DURATION_S:
        raise ValueError("must be at most ten years (3660d)")
    return total_s


def parse_size(value: object) -> int:
    """Read a size with its unit, such as `64MiB`, `500MB` or `20GB`.

    Args:
        value: What stands in the file.

    Returns:
        Bytes.

    Raises:
        ValueError: If there is no unit.
    """
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("needs a number and a unit (kB, MB, GB, KiB, MiB, GiB), such as 64MiB")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_polygons(value: object) -> tuple[Polygon, ...]:
    """Read one polygon `[[x, y], ...]` or a list of polygons.

    Args:
        value: What stands in the file.

    Returns:
        The polygons, each with at least three corners.

    Raises:
        ValueError: If a corner is not two numbers or a polygon has fewer than three corners.
    """
    message = "needs corners [[x, y], [x, y], [x, y], ...] in pixels, or a list of such polygons"
    if not isinstance(value, list) or not value:
        raise ValueError(message)
    groups = [value] if _is_point(value[0]) else value
    polygons = []
    for group in groups:
        if not isinstance(group, list) or not all(_is_point(point) for point in group):
            raise ValueError(message)
        if not 3 <= len(group) <= MAX_POLYGON_POINTS:
            raise ValueError(f"a polygon needs 3 to {MAX_POLYGON_POINTS} corners")
        polygons.append(tuple((float(x), float(y)) for x, y in group))
    return tuple(polygons)


def parse_time(value: object) -> float:
    """Read a point in time with its zone, such as `2026-01-05T08:00:00Z`.

    Args:
        value: What stands in the file.

    Returns:
        Epoch seconds (UTC).

    Raises:
        ValueError: If it is no ISO 8601 time, has no zone, or lies before 1970.
    """
    message = "needs a date, a time and a zone, such as 2026-01-05T08:00:00Z"
    if not isinstance(value, str):
        raise ValueError(message)
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(message) from None
    if moment.tzinfo is None:
        raise ValueError(f"{message} (the zone is missing)")
    if moment.year < 1970:
        raise ValueError("must not be before 1970")
    return moment.timestamp()


def expand_path(text: str, folder: Path) -> Path:
    """A path from the file, `~` expanded, relative ones below `folder`.

    Raises:
        ValueError: If `~name` stands for nobody.
    """
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:
        raise ValueError("names the home folder of a user that does not exist") from None


def format_duration(duration_s: float) -> str:
    """Write seconds the way `parse_duration` reads them, in the largest unit that fits."""
    for unit in ("d", "h", "m", "s"):
        count = duration_s / _DURATION_UNITS_S[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    milliseconds = f"{duration_s * 1000:.6f}".rstrip("0").rstrip(".")
    return f"{milliseconds}ms"


def format_size(size_bytes: int) -> str:
    """Write bytes the way `parse_size` reads them, in the largest unit that fits."""
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if size_bytes and size_bytes % _SIZE_UNITS[unit] == 0:
            return f"{size_bytes // _SIZE_UNITS[unit]}{unit}"
    return f"{size_bytes}B"


def _is_point(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        and all(isfinite(v) and abs(v) <= 100_000 for v in value)
    )


_DURATION_SCHEMA = {
    "type": "string",
    "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|min|m|h|d))+$",
    "examples": ["90s", "2h", "1h30m"],
}
_SIZE_SCHEMA = {
    "type": "string",
    "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
    "examples": ["64MiB", "20GB"],
}
_POINT_SCHEMA = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_POLYGON_SCHEMA = {"type": "array", "items": _POINT_SCHEMA, "minItems": 3}

DurationS = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Seconds, written with a unit."""

SizeBytes = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema(_SIZE_SCHEMA),
]
"""Bytes, written with a unit."""

Polygons = Annotated[
    tuple[Polygon, ...],
    BeforeValidator(parse_polygons),
    WithJsonSchema(
        {"anyOf": [_POLYGON_SCHEMA, {"type": "array", "items": _POLYGON_SCHEMA, "minItems": 1}]}
    ),
]
"""One polygon or several, in full-frame pixels."""

TimeS = Annotated[
    float,
    BeforeValidator(parse_time),
    PlainSerializer(float),
    WithJsonSchema({"type": "string", "examples": ["2026-01-05T08:00:00Z"]}),
]
"""Epoch seconds, written as an ISO 8601 time with its zone."""
