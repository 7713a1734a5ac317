"""Checked reading of single header fields: type, range, and a message that names both."""

import math
import re
from collections.abc import Sequence
from typing import TypeVar

from streamreid.errors import MessageError
from streamreid.messages.limits import MAX_ABS_PX, MAX_ABS_TIME_S, MAX_INT

_CAMERA_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_Word = TypeVar("_Word", bound=str)


def integer(value: object, name: str, low: int = 0, high: int = MAX_INT) -> int:
    """Read an integer in `[low, high]`.

    Raises:
        MessageError: It is something else.
    """
    if type(value) is not int or not low <= value <= high:
        raise MessageError(f"{name} must be an integer in [{low}, {high}], got {_short(value)}")
    return value


def number(value: object, name: str, low: float, high: float) -> float:
    """Read a finite number in `[low, high]`.

    Raises:
        MessageError: It is something else.
    """
    if type(value) is int:
        value = float(value)
    if type(value) is not float or not low <= value <= high:
        raise MessageError(f"{name} must be a number in [{low:g}, {high:g}], got {_short(value)}")
    return value


def time_s(value: object, name: str) -> float:
    """Read epoch seconds."""
    return number(value, name, -MAX_ABS_TIME_S, MAX_ABS_TIME_S)


def pixel(value: object, name: str) -> float:
    """Read a pixel coordinate."""
    return number(value, name, -MAX_ABS_PX, MAX_ABS_PX)


def flag(value: object, name: str) -> bool:
    """Read true or false."""
    if type(value) is not bool:
        raise MessageError(f"{name} must be true or false, got {_short(value)}")
    return value


def word(value: object, name: str, allowed: Sequence[_Word]) -> _Word:
    """Read one of the `allowed` words."""
    for candidate in allowed:
        if value == candidate:
            return candidate
    raise MessageError(f"{name} must be one of {', '.join(allowed)}, got {_short(value)}")


def camera_name(value: object, name: str) -> str:
    """Read a camera id."""
    if type(value) is not str or _CAMERA_ID.fullmatch(value) is None:
        raise MessageError(f"{name} must match [A-Za-z0-9_-]{{1,64}}, got {_short(value)}")
    return value


def items(value: object, name: str, low: int, high: int) -> tuple[object, ...]:
    """Read an array with a number of elements in `[low, high]`."""
    if type(value) is not tuple or not low <= len(value) <= high:
        size = len(value) if isinstance(value, tuple) else "no array"
        raise MessageError(f"{name} must have {low} to {high} elements, got {size}")
    return value


def ordered(first: float, second: float, names: str) -> None:
    """Check that two numbers do not run backwards."""
    if not first <= second or math.isnan(second):
        raise MessageError(f"{names} must not run backwards, got {first!r} and {second!r}")


def _short(value: object) -> str:
    """Value for an error text, cut so that a hostile message cannot flood the log."""
    if isinstance(value, str | bytes | tuple | list | dict):
        return f"{type(value).__name__} of length {len(value)}"
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."
