"""Reads the golden vectors in tests/golden (their README names origin and tolerances)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"

_STATE_NAMES = (
    *(
        f"{norm}.{field}"
        for norm in ("bn", "logit_bn")
        for field in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ),
    "fc.weight",
    "fc.bias",
)


def load_golden(name: str) -> dict[str, Any]:
    """All arrays of one golden file by name."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def golden_state(arrays: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    """Parameters of the matching layer under their published names."""
    state = {}
    for name in _STATE_NAMES:
        key = prefix + name.replace(".", "_")
        if key in arrays:
            state[name] = torch.from_numpy(np.atleast_1d(arrays[key]))
    return state
