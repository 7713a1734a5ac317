"""Reads identity, camera, sequence and frame from the file names of re-identification data sets."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What a file name says.

    Attributes:
        identity: Person; -1 is junk, 0 a distractor where the data set has them.
        camera: Camera, from 0.
        sequence: Recording within the camera (market) or scene (synthetic sets); None without.
        frame: Frame number within the sequence; None when the name carries no time.
    """

    identity: int
    camera: int
    sequence: int | None = None
    frame: int | None = None


NameParser = Callable[[str], ParsedName | None]
"""Parses a path relative to the split's folder; None when the name does not fit."""

_MARKET = re.compile(r"(-?\d+)_c(\d)s(\d)_(\d+)")
_CUHK03 = re.compile(r"(-?\d+)_c(\d)")
_SYNTHETIC = re.compile(r"(-?\d+)_s(\d+)_c(\d+)_f(\d+)")
_FOLDER = re.compile(r"(-?\d+)_c(\d+)(?:s(\d+)_(\d+)(?=[_.])|(?=[_.]))")
# Cameras of the scenes of RandPerson are numbered through; so are the frames on its clock.
_RANDPERSON_CAMERA = (0, 2, 4, 6, 8, 9, 10, 12, 13, 14, 15)


def parse_market(path: str) -> ParsedName | None:
    """Parse `0002_c1s1_000451_03.jpg`: identity, camera, sequence, frame."""
    match = _MARKET.match(_file_name(path))
    if match is None:
        return None
    identity, camera, sequence, frame = map(int, match.groups())
    return ParsedName(identity, camera - 1, sequence, frame)


def parse_cuhk03(path: str) -> ParsedName | None:
    """Parse `0001_c1_2.png`: identity and camera."""
    match = _CUHK03.match(_file_name(path))
    return None if match is None else ParsedName(int(match[1]), int(match[2]) - 1)


def parse_msmt17(path: str) -> ParsedName | None:
    """Parse `0003/0003_026_06_0303morning_0098_0.jpg`: identity first, camera third."""
    fields = path.split("_")
    identity = _file_name(path).split("_")[0]
    if len(fields) < 3 or not fields[2].isdigit() or not identity.isdigit():
        return None
    return ParsedName(int(identity), int(fields[2]) - 1)


def parse_randperson(path: str) -> ParsedName | None:
    """Parse `00000000_s03_c01_f093242.jpg`: identity, scene, camera, frame."""
    match = _SYNTHETIC.match(_file_name(path))
    if match is None or int(match[2]) >= len(_RANDPERSON_CAMERA):
        return None
    identity, scene, camera, frame = map(int, match.groups())
    return ParsedName(identity, _RANDPERSON_CAMERA[scene] + camera, scene, frame)


def parse_clonedperson(path: str) -> ParsedName | None:
    """Parse `000001_s01_c03_f092505.jpg`; as published, scenes share cameras and clocks."""
    match = _SYNTHETIC.match(_file_name(path))
    if match is None:
        return None
    identity, _, camera, frame = map(int, match.groups())
    return ParsedName(identity, camera, None, frame)


def parse_folder(path: str) -> ParsedName | None:
    """Parse `0002_c1s1_000451_03.png`, or `0815_c12_05.jpg`, which carries no time."""
    match = _FOLDER.match(_file_name(path))
    if match is None:
        return None
    identity, camera = int(match[1]), int(match[2]) - 1
    if match[3] is None:
        return ParsedName(identity, camera)
    return ParsedName(identity, camera, int(match[3]), int(match[4]))


def _file_name(path: str) -> str:
    return path.rsplit("/", maxsplit=1)[-1]
