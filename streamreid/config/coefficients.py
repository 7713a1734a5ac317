"""Reads and writes what was fitted for the association: shipped with the weights, or per site."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from streamreid.engine.coefficients import Coefficients, from_plain, to_plain
from streamreid.errors import ConfigError

_DATA = files("streamreid.reid") / "data"


def shipped_coefficients(
    weights: str, digest: str, *, slope: float = 1.0, offset: float = 0.0
) -> Coefficients:
    """What was fitted for these weights, or neutral values around their own calibration.

    Args:
        weights: Name of the weights, such as `default`.
        digest: sha256 of the loaded weights; coefficients of another file do not fit.
        slope: Calibration of the weights: scale.
        offset: Calibration of the weights: offset.
    """
    resource = _DATA / f"{weights}.association.json"
    if "/" not in weights and resource.is_file():
        found = _parse(resource.read_text("utf-8"), resource.name)
        if found.weights_digest == digest:
            return found
    return replace(
        Coefficients(), weights_digest=digest, calibration_slope=slope, calibration_offset=offset
    )


def packaged_coefficients(weights: str) -> Coefficients:
    """What was fitted for weights of the package, whether or not these are loaded.

    Args:
        weights: Name of the weights, such as `default`.

    Raises:
        ConfigError: If nothing is shipped under that name.
    """
    resource = _DATA / f"{weights}.association.json"
    if "/" in weights or not resource.is_file():
        raise ConfigError(f"no association coefficients are shipped for weights '{weights}'")
    return _parse(resource.read_text("utf-8"), resource.name)


def site_file(store: Path) -> Path:
    """Where `streamreid calibrate` writes what it found for the site of a store."""
    return store.with_name(store.name + ".association.json")


def coefficients_for(
    store: Path, weights: str, digest: str, *, slope: float = 1.0, offset: float = 0.0
) -> Coefficients:
    """The site's own coefficients where they fit the weights, else the shipped ones.

    Args:
        store: The site's store.
        weights: Name of the weights.
        digest: sha256 of the loaded weights.
        slope: Calibration of the weights: scale.
        offset: Calibration of the weights: offset.

    Raises:
        ConfigError: If the site's file is damaged.
    """
    path = site_file(store)
    if path.is_file():
        found = read_coefficients(path)
        if found.weights_digest == digest:
            return found
    return shipped_coefficients(weights, digest, slope=slope, offset=offset)


def read_coefficients(path: Path) -> Coefficients:
    """Read a file that `streamreid calibrate` wrote.

    Raises:
        ConfigError: If it cannot be read or is not of this version.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"association coefficients '{path}' cannot be read: {exc}") from exc
    return _parse(text, str(path))


def write_coefficients(path: Path, coefficients: Coefficients) -> None:
    """Write a file that `read_coefficients` reads; an old one is replaced at once.

    Raises:
        ConfigError: If it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(to_plain(coefficients), indent=1) + "\n", "utf-8")
        part.replace(path)
    except OSError as exc:
        raise ConfigError(f"association coefficients '{path}' cannot be written: {exc}") from exc


def _parse(text: str, where: str) -> Coefficients:
    try:
        plain = json.loads(text)
        if not isinstance(plain, dict):
            raise ValueError("it is no JSON object")
        return from_plain(plain)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(
            f"association coefficients '{where}' are not usable: {exc}; "
            "make new ones with 'streamreid calibrate'"
        ) from exc
