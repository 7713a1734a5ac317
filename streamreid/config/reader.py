"""Reads YAML bytes into plain values that remember their line and column; executes nothing."""

import math
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from streamreid.errors import ConfigError

MAX_BYTES = 2**20
MAX_DEPTH = 20
MAX_INTEGER_CHARS = 20

NodePath = tuple[str | int, ...]
"""Keys and list positions from the top of the file to a value."""

# What ruamel.yaml raises on broken input besides its own errors, found by mutating files.
_READER_ERRORS = (
    YAMLError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the file; line and column start at 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the file that cannot be used."""

    position: Position
    text: str


@dataclass(slots=True)
class Document:
    """The values of a file with the places where they stand.

    Attributes:
        values: Plain dicts, lists, text, numbers, booleans and None.
        keys: Position of the key (or list item) of each path.
        positions: Position of the value of each path.
        problems: What is wrong with the YAML itself, such as duplicate keys.
    """

    values: Any = None
    keys: dict[NodePath, Position] = field(default_factory=dict)
    positions: dict[NodePath, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(raw: bytes, *, name: str) -> Document:
    """Read one YAML document.

    Args:
        raw: The bytes of the file.
        name: Name of the file for messages.

    Returns:
        Its values with positions; duplicate keys and odd tags are listed as problems.

    Raises:
        ConfigError: If it is too large, not UTF-8, not YAML, uses aliases or is nested too deep.
    """
    text = _decode(raw, name)
    _refuse_aliases_and_depth(text, name)
    node = _parse(text, name)
    document = Document()
    if node is not None:
        document.values = _build(node, (), document)
    return document


def _decode(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{name}:1:1: is larger than 1 MiB; a configuration is a few kilobytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        raise ConfigError(
            f"{name}:{line}:{column}: byte 0x{raw[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8"
        ) from None
    return text.removeprefix("\ufeff")


def _yaml() -> YAML:
    # pure: the C parser knows neither YAML 1.2 nor exact columns.
    return YAML(typ="rt", pure=True)


def _refuse_aliases_and_depth(text: str, name: str) -> None:
    depth = 0
    try:
        event: Event
        for event in _yaml().parse(text):
            if isinstance(event, AliasEvent):
                raise ConfigError(_at(event, name, "aliases (*name) are not allowed; write it out"))
            if isinstance(event, MappingStartEvent | SequenceStartEvent):
                depth += 1
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                raise ConfigError(_at(event, name, f"is nested deeper than {MAX_DEPTH} levels"))
    except _READER_ERRORS as error:
        raise _not_yaml(error, name) from None


def _parse(text: str, name: str) -> Node | None:
    try:
        node: Node | None = _yaml().compose(text)
    except _READER_ERRORS as error:
        raise _not_yaml(error, name) from None
    return node


def _at(event: Event, name: str, text: str) -> str:
    return f"{name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}: {text}"


def _not_yaml(error: Exception, name: str) -> ConfigError:
    line = column = 1
    reason = type(error).__name__
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        reason = error.problem or error.context or reason
    elif isinstance(error, YAMLError):
        reason = str(error).splitlines()[0] if str(error) else reason
    return ConfigError(f"{name}:{line}:{column}: is not valid YAML: {reason}")


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _build(node: Node, path: NodePath, document: Document) -> Any:
    document.positions[path] = _position(node)
    document.keys.setdefault(path, _position(node))
    if isinstance(node, MappingNode):
        return _build_mapping(node, path, document)
    if isinstance(node, SequenceNode):
        _check_tag(node, "seq", path, document)
        return [_build(item, (*path, i), document) for i, item in enumerate(node.value)]
    return _build_scalar(node, document)


def _build_mapping(node: MappingNode, path: NodePath, document: Document) -> dict[str, Any]:
    _check_tag(node, "map", path, document)
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        position = _position(key_node)
        if not isinstance(key_node, ScalarNode) or _tag(key_node) == "merge":
            document.problems.append(Problem(position, "a key must be plain text"))
            continue
        # The raw text, so that a camera may be called 1, null or on.
        key = str(key_node.value)
        here = (*path, key)
        if key in values:
            first = document.keys[here]
            what = "camera" if path == ("cameras",) else "key"
            document.problems.append(
                Problem(position, f"{what} {key!r} occurs twice, first in line {first.line}")
            )
            continue
        document.keys[here] = position
        values[key] = _build(value_node, here, document)
    return values


def _tag(node: Node) -> str:
    tag = str(node.tag or "")
    prefix = "tag:yaml.org,2002:"
    return tag.removeprefix(prefix) if tag.startswith(prefix) else tag


def _check_tag(node: Node, allowed: str, path: NodePath, document: Document) -> None:
    if _tag(node) != allowed:
        where = ".".join(str(part) for part in path) or "the file"
        document.problems.append(
            Problem(_position(node), f"{where}: the tag {str(node.tag)[:80]!r} is not allowed")
        )


def _build_scalar(node: Node, document: Document) -> Any:
    tag, text = _tag(node), str(node.value)
    if tag in ("str", "timestamp"):
        return text
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag in ("int", "float"):
        number = _number(text, tag)
        if number is None:
            document.problems.append(Problem(_position(node), f"{text[:40]!r} is not a number"))
        return number
    document.problems.append(
        Problem(_position(node), f"the tag {str(node.tag)[:80]!r} is not allowed")
    )
    return None


def _number(text: str, tag: str) -> int | float | None:
    plain = text.replace("_", "")
    try:
        if tag == "int":
            return None if len(plain) > MAX_INTEGER_CHARS else _integer(plain)
        number = float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    for prefix, base in (("0x", 16), ("0o", 8), ("0b", 2)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 10)
