"""Which device computes: named by the user, checked before any work."""

import re

import torch

from streamreid.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:N" means here.

    Raises:
        ConfigError: The name is none of these, or this machine has no such device.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise ConfigError(f"device is {name!r}; use auto, cpu, cuda or cuda:0")
    if name != "cpu" and int(match[1] or 0) >= found:
        raise ConfigError(
            f"device is {name!r}, but this torch finds {found or 'no'} CUDA device; use cpu or "
            "auto, or install the driver and a torch build for this GPU"
        )
    return torch.device(name)
