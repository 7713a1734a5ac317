"""Devices: the named one if it is there, else one sentence."""

import pytest
import torch

from streamreid.errors import ConfigError
from streamreid.reid.device import choose_device


@pytest.fixture
def gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A machine with this many GPUs, as torch would say."""
    count = int(request.param)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    return count


@pytest.mark.parametrize(
    ("gpus", "name", "expected"),
    [
        (0, "auto", "cpu"),
        (0, "cpu", "cpu"),
        (1, "auto", "cuda"),
        (1, "cuda", "cuda"),
        (2, "cuda:1", "cuda:1"),
        (2, "cpu", "cpu"),
    ],
    indirect=["gpus"],
)
def test_what_is_there_is_taken(gpus: int, name: str, expected: str) -> None:
    assert choose_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("gpus", "name", "words"),
    [
        (0, "cuda", "finds no CUDA device"),
        (1, "cuda:1", "finds 1 CUDA device"),
        (1, "mps", "use auto, cpu, cuda or cuda:0"),
        (1, "cuda:x", "use auto, cpu, cuda or cuda:0"),
        (1, "", "use auto, cpu, cuda or cuda:0"),
    ],
    indirect=["gpus"],
)
def test_what_is_not_there_is_named(gpus: int, name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        choose_device(name)
