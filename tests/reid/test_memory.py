"""Running out of memory is told as what it is, and nothing else is mistaken for it."""

import subprocess
import sys

import pytest
import torch

from streamreid.errors import DeviceMemoryError
from streamreid.reid.matching import backends
from streamreid.reid.memory import explain_full_memory, free_bytes

CPU = torch.device("cpu")

# In a process of its own, since a limit on the address space cannot be lifted again.
_FILL = """
import resource, sys, torch
from streamreid.errors import DeviceMemoryError
from streamreid.reid.matching import FeatureMaps, match_maxima, match_scores
from streamreid.reid.qaconv import QAConv, fold
maps = torch.zeros(1, 16, 24, 8)
maps[:, 0] = 1.0
one = FeatureMaps.pack(maps)
many = FeatureMaps(one.data.expand(2_000, -1, -1), 24, 8)
lots = FeatureMaps(one.data.expand(20_000, -1, -1), 24, 8)  # 1.6 GB of scores
match_scores(one, one, fold(QAConv(16, 24, 8).eval()))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20),) * 2)
for work in (
    lambda: match_maxima(one, many),
    lambda: match_scores(one, many, fold(QAConv(16, 24, 8).eval()), backend="torch"),
    lambda: match_scores(lots, lots, fold(QAConv(16, 24, 8).eval())),
):
    try:
        work()
        print("done")
    except DeviceMemoryError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_matching_without_memory_is_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FILL], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    maxima, scores, square = done.stdout.strip().splitlines()
    assert "cpu has no memory left while matching 1 x 2000 maps" in maxima
    assert "lower matcher.gallery.max_crops" in maxima
    assert scores == "done"  # scratch memory does not grow with the gallery
    assert "cpu has no memory left while scoring 20000 x 20000 maps" in square


# The correlation of so many maps takes 377 MB, half of that in bfloat16. The largest size that the
# process ever had is looked at after few maps and after many.
_CONSTANT = """
import resource, torch
from streamreid.reid.matching import FeatureMaps, backends, match_scores
from streamreid.reid.qaconv import QAConv, fold
maps = torch.zeros(1, 16, 24, 8)
maps[:, 0] = 1.0
one = FeatureMaps.pack(maps)
many = FeatureMaps(one.data.expand(2_560, -1, -1), 24, 8)
head = fold(QAConv(16, 24, 8).eval())
for name in backends():
    sizes = []
    for some in (many.select(slice(0, 256)), many):
        match_scores(one, some, head, backend=name)
        sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(name, (sizes[1] - sizes[0]) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count in other units")
def test_scratch_memory_does_not_grow_with_the_gallery() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CONSTANT], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    grown = dict(line.split() for line in done.stdout.splitlines())
    assert tuple(grown) == backends()
    assert max(int(value) for value in grown.values()) < 32 << 20, grown


def test_other_errors_stay_what_they_are() -> None:
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught,
        explain_full_memory(CPU, "testing"),
    ):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not isinstance(caught.value, DeviceMemoryError)


def test_a_full_gpu_is_named() -> None:
    with (
        pytest.raises(DeviceMemoryError, match="cpu has no memory left while testing"),
        explain_full_memory(CPU, "testing"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_free_memory_is_plausible() -> None:
    free = free_bytes(CPU)
    assert free is not None
    assert 2**20 < free < 2**50


@pytest.mark.gpu
def test_a_gallery_larger_than_the_gpu_is_refused() -> None:
    from streamreid.errors import ConfigError
    from streamreid.gallery.ring import MapLayout, Ring

    layout = MapLayout(24, 8, 128, torch.float16, 512, torch.float16)
    with pytest.raises(ConfigError, match=r"needs \d+ MiB"):
        Ring(layout, 10**8, "cuda")
