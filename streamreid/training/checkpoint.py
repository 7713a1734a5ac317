"""Training state on disk: complete or absent, plain tensors and numbers only."""

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from streamreid.errors import ConfigError, WeightsError


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint; an older one stays until the new one is complete.

    Args:
        path: The file.
        state: Tensors, numbers, text and containers of them; has the entry `plan`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save(dict(state), partial)
    os.replace(partial, path)


def read_checkpoint(path: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Read a checkpoint that was written under the same plan.

    Args:
        path: The file.
        plan: The settings of the run that wants to continue.

    Raises:
        ConfigError: The checkpoint was written under other settings; names the first that differs.
        WeightsError: The file cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        written = state["plan"]
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, UnpicklingError) as exc:
        raise WeightsError(
            f"checkpoint {path} cannot be read ({type(exc).__name__}); delete it to start again"
        ) from exc
    for name, value in plan.items():
        if written.get(name) != value:
            raise ConfigError(
                f"checkpoint {path} was written with {name} = {written.get(name)!r}, the "
                f"configuration says {value!r}; use the old value, or another --out to start again"
            )
    return state
