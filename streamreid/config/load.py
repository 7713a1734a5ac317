"""`load_config`: from a file to a checked `Config`, with every problem named by line and column."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamreid.config.models import Config
from streamreid.config.problems import describe, format_problems
from streamreid.config.reader import MAX_BYTES, Document, NodePath, Position, Problem, read_document
from streamreid.errors import ConfigError

MAX_RUN_DIR_BYTES = 85
"""Linux allows 108 bytes for a socket's path; the names inside run_dir need the rest."""


def load_config(
    path: Path,
    *,
    accepted: Path | None = None,
    environ: Mapping[str, str] | None = None,
    need_secrets: bool = True,
) -> Config:
    """Read and check a configuration file.

    Args:
        path: The file; relative paths inside it start at its folder.
        accepted: A copy to read instead of the file, made when a run accepted what it said.
        environ: Where `{env:NAME}` is looked up; the process's environment when None.
        need_secrets: False for commands that open no camera: secrets are then left unfilled.

    Returns:
        The configuration, defaults applied.

    Raises:
        ConfigError: If it cannot be read or used; names every problem as `file:line:column: text`.
    """
    path = Path(path)
    raw = read_bytes(path if accepted is None else accepted)
    secrets = (os.environ if environ is None else environ) if need_secrets else None
    return parse_config(raw, name=path.name, folder=path.absolute().parent, environ=secrets)


def parse_config(
    raw: bytes, *, name: str, folder: Path, environ: Mapping[str, str] | None
) -> Config:
    """Check the bytes of a configuration; see `load_config`.

    Args:
        raw: The bytes.
        name: Name of the file for messages.
        folder: Where relative paths start.
        environ: Where `{env:NAME}` is looked up; None leaves secrets unfilled.
    """
    document = read_document(raw, name=name)
    problems = list(document.problems)
    config: Config | None = None
    if not isinstance(document.values, dict):
        problems.append(Problem(Position(1, 1), _shape_text(document.values)))
    else:
        problems += _cross_checks(document)
        try:
            config = Config.model_validate(
                document.values, context={"folder": folder, "environ": environ}
            )
        except ValidationError as error:
            details = error.errors(include_url=False)
            problems += [describe(detail, document, Config) for detail in details]
        else:
            problems += _check_run_dir(config, document)
    if problems or config is None:
        raise ConfigError(format_problems(name, problems))
    return config


def read_bytes(path: Path) -> bytes:
    """What stands in a configuration file, as far as it may be long.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        if not path.is_file():
            raise ConfigError(
                f"{path} is not a file; write one with two lines per camera "
                "(see configs/minimal.yaml), or name another with --cameras"
            )
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise ConfigError(f"{path} cannot be read: {reason}") from error


def _shape_text(values: object) -> str:
    example = "streamreid: 1, then cameras: with one name per camera"
    if values is None:
        return f"the file is empty; it starts with {example}"
    return f"the file must be keys and values; it starts with {example}"


def _cross_checks(document: Document) -> list[Problem]:
    values = document.values
    problems = _check_pairs(values, document)
    transport = values.get("transport")
    if isinstance(transport, dict):
        endpoint = transport.get("endpoint")
        if isinstance(endpoint, str) and _is_open(endpoint) and not transport.get("curve"):
            text = (
                f"transport.endpoint {endpoint} can be reached from other machines, so "
                "transport.curve must name a folder of keys (made by `streamreid keys`)"
            )
            problems.append(Problem(document.positions[("transport", "endpoint")], text))
    return problems


def _is_open(endpoint: str) -> bool:
    if not endpoint.startswith("tcp://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def _check_pairs(values: Mapping[str, Any], document: Document) -> list[Problem]:
    topology, cameras = values.get("topology"), values.get("cameras")
    if not isinstance(topology, dict) or not isinstance(cameras, dict):
        return []
    problems = []
    seen: dict[frozenset[str], str] = {}
    for kind in ("overlaps", "disjoint"):
        pairs = topology.get(kind)
        for i, pair in enumerate(pairs if isinstance(pairs, list) else ()):
            path: NodePath = ("topology", kind, i)
            names = [name for name in pair if isinstance(name, str)] if _is_pair(pair) else []
            text = _pair_problem(names, kind, cameras, seen)
            if text:
                problems.append(Problem(document.positions[path], f"topology.{kind}.{i}: {text}"))
    return problems


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2


def _pair_problem(
    names: list[str], kind: str, cameras: Mapping[str, Any], seen: dict[frozenset[str], str]
) -> str:
    if len(names) != 2:
        return ""
    unknown = [name for name in names if name not in cameras]
    if unknown:
        return f"there is no camera {unknown[0]!r}; there are {', '.join(list(cameras)[:20])}"
    if names[0] == names[1]:
        return f"names the camera {names[0]!r} twice"
    other = seen.setdefault(frozenset(names), kind)
    return f"the pair stands under {other} too" if other != kind else ""


def _check_run_dir(config: Config, document: Document) -> list[Problem]:
    length = len(os.fsencode(config.resolved_run_dir))
    if length <= MAX_RUN_DIR_BYTES:
        return []
    text = (
        f"run_dir {config.resolved_run_dir} has {length} bytes, sockets allow "
        f"{MAX_RUN_DIR_BYTES}; set run_dir to a shorter path such as /run/streamreid"
    )
    return [Problem(document.positions.get(("run_dir",), Position(1, 1)), text)]
