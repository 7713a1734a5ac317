"""Turns frame numbers of data sets into seconds, by published rules or by a clock file."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamreid.errors import DatasetError
from streamreid.evaluation.image_names import ParsedName

_MARKET_FRAMES_PER_SECOND = 25.0
_SYNTHETIC_FRAMES_PER_SECOND = 24.0
# fmt: off
_RANDPERSON_FIRST_FRAME = (
    0, 160_000, 340_000, 490_000, 640_000, 1_070_000,
    1_330_000, 1_590_000, 1_890_000, 3_190_000, 3_490_000,
)
# fmt: on
_COLUMNS = ("camera", "sequence", "offset_frames")


class Clock(Protocol):
    """Gives each image a time, or None where its name carries none."""

    @property
    def description(self) -> str:
        """What the times are, for tables and reports."""

    def time_s(self, name: ParsedName) -> float | None:
        """Seconds on the clock of the image's camera."""


@dataclass(frozen=True, slots=True)
class NoClock:
    """For data sets without times."""

    description: str = "none"

    def time_s(self, name: ParsedName) -> float | None:
        """No name carries a time."""
        del name
        return None


@dataclass(frozen=True, slots=True)
class SequenceClock:
    """`(frame + offset of (camera, sequence)) / 25`, the clock of Market-like names.

    Attributes:
        offset_frames: Offset by `(camera from 0, sequence)`.
        description: Where the offsets come from.
    """

    offset_frames: dict[tuple[int, int], int]
    description: str

    def time_s(self, name: ParsedName) -> float | None:
        """Time of a name with sequence and frame.

        Raises:
            DatasetError: If the clock does not know the sequence.
        """
        if name.sequence is None or name.frame is None:
            return None
        offset = self.offset_frames.get((name.camera, name.sequence))
        if offset is None:
            raise DatasetError(
                f"{self.description} has no row for camera {name.camera + 1}, sequence "
                f"{name.sequence}; add 'camera,sequence,offset_frames' for it"
            )
        return (name.frame + offset) / _MARKET_FRAMES_PER_SECOND


@dataclass(frozen=True, slots=True)
class SyntheticClock:
    """`(first frame of the scene + frame) / 24`; ClonedPerson's scenes all begin at frame 0."""

    description: str = "frame / 24 (synthetic)"

    def time_s(self, name: ParsedName) -> float | None:
        """Time of a name with a frame."""
        if name.frame is None:
            return None
        first = 0 if name.sequence is None else _RANDPERSON_FIRST_FRAME[name.sequence]
        return (first + name.frame) / _SYNTHETIC_FRAMES_PER_SECOND


def published_clock(names: Iterable[ParsedName]) -> SequenceClock:
    """Put the sequences of each camera one after another, as the published parser does.

    The parser counts an earlier offset twice (`o_3 = max_2 + 2 * o_2`). That is harmless for TLift,
    which looks at differences inside a sequence, and kept for parity.

    Args:
        names: All names of all splits.
    """
    last: dict[tuple[int, int], int] = {}
    for name in names:
        if name.sequence is not None and name.frame is not None:
            key = (name.camera, name.sequence)
            last[key] = max(last.get(key, 0), name.frame)
    offsets: dict[tuple[int, int], int] = {}
    for camera in {key[0] for key in last}:
        offset = 0
        for sequence in range(1 + max(key[1] for key in last if key[0] == camera)):
            offsets[camera, sequence] = offset
            if (camera, sequence) in last:
                offset += last[camera, sequence] + offset
    return SequenceClock(offsets, "frame / 25, sequences of a camera one after another")


def read_clock(path: Path) -> SequenceClock:
    """Read a clock file: CSV with the columns camera (from 1), sequence, offset_frames.

    Args:
        path: The file.

    Raises:
        DatasetError: If it cannot be read, lacks a column or has a value that is no whole number.
    """
    offsets: dict[tuple[int, int], int] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not set(_COLUMNS) <= set(reader.fieldnames or ()):
                raise DatasetError(
                    f"clock file {path} has the columns {reader.fieldnames}, expected "
                    f"{','.join(_COLUMNS)} in the first line"
                )
            for row in reader:
                camera, sequence, offset = (int(row[column]) for column in _COLUMNS)
                offsets[camera - 1, sequence] = offset
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(f"clock file {path} cannot be read: {exc}") from exc
    except (TypeError, ValueError) as exc:
        raise DatasetError(
            f"clock file {path}, line {len(offsets) + 2}: {exc}; expected three whole numbers"
        ) from exc
    if not offsets:
        raise DatasetError(f"clock file {path} has no rows under {','.join(_COLUMNS)}")
    return SequenceClock(offsets, f"clock file {path.name}")
