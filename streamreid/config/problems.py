"""Turns what pydantic found into one line per problem, with position and the nearest right name."""

from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from streamreid.config.reader import Document, NodePath, Position, Problem
from streamreid.errors import mask_credentials

MAX_SHOWN = 50
_MAX_FOUND_CHARS = 60


def describe(error: ErrorDetails, document: Document, model: type[BaseModel]) -> Problem:
    """One problem of the values, at the place in the file where it must be mended.

    Args:
        error: What pydantic says.
        document: The file.
        model: Model of the whole file, for the names that are allowed.
    """
    path = tuple(part for part in error["loc"] if part != "[key]")
    known = _longest_known(path, document)
    name = ".".join(str(part) for part in path) or "the file"
    if error["type"] == "extra_forbidden":
        hint = _nearest(str(path[-1]), _allowed_keys(path[:-1], model))
        return Problem(document.keys[known], f"{name} is not a known key{hint}")
    if error["type"] == "missing":
        return Problem(document.keys[known], f"{name} is missing")
    if error["loc"] and error["loc"][-1] == "[key]":
        text = "must be 1 to 64 of the characters A-Z a-z 0-9 _ -"
        return Problem(document.keys[known], f"the camera name {str(path[-1])[:80]!r} {text}")
    position = document.positions.get(known, Position(1, 1))
    return Problem(position, f"{name} {_message(error)}{_found(error, path)}")


def format_problems(name: str, problems: Sequence[Problem]) -> str:
    """All problems, in the order of the file, as `name:line:column: text` lines."""
    unique = sorted(set(problems), key=lambda problem: (problem.position, problem.text))
    lines = [f"{name}:{p.position.line}:{p.position.column}: {p.text}" for p in unique[:MAX_SHOWN]]
    if len(unique) > MAX_SHOWN:
        lines.append(f"{name}: and {len(unique) - MAX_SHOWN} more problems")
    return mask_credentials("\n".join(lines))


def _longest_known(path: NodePath, document: Document) -> NodePath:
    while path and path not in document.keys:
        path = path[:-1]
    return path


def _message(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    text = error["msg"]
    for old, new in (("Input should be ", "must be "), ("String should ", "must ")):
        if text.startswith(old):
            text = new + text.removeprefix(old)
    if error["type"] == "literal_error":
        allowed = [word.strip("'") for word in str(error["ctx"]["expected"]).split() if "'" in word]
        text += _nearest(str(error["input"]), [word.strip("',") for word in allowed])
    return text[0].lower() + text[1:]


def _found(error: ErrorDetails, path: NodePath) -> str:
    value = error["input"]
    if "url" in path or isinstance(value, dict):
        # An address may carry a password in a form that no mask knows.
        return ""
    shown = "nothing" if value is None else repr(value)
    return f" (found {shown[:_MAX_FOUND_CHARS]})"


def _nearest(word: str, allowed: Sequence[str]) -> str:
    near = get_close_matches(word.lower(), allowed, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; allowed are {', '.join(allowed)}" if 0 < len(allowed) <= 20 else ""


def _allowed_keys(path: NodePath, model: type[BaseModel]) -> list[str]:
    here: Any = model
    for part in path:
        here = _step(here, part)
        if here is None:
            return []
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _step(here: Any, part: str | int) -> Any:
    if isinstance(here, type) and issubclass(here, BaseModel):
        for name, field in here.model_fields.items():
            if part in (name, field.alias):
                return _section_of(field.annotation)
        return None
    if get_origin(here) is dict:
        return get_args(here)[1]
    return None


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, UnionType):
        return next((arg for arg in get_args(annotation) if isinstance(arg, type)), None)
    return annotation
