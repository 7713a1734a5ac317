"""The allocator's settings: taken by glibc, and freed memory stays with the process."""

import platform
import subprocess
import sys

import pytest

_JOB = (
    "import re\n"
    "from pathlib import Path\n"
    "import numpy as np\n"
    "from streamreid.training.allocator import keep_freed_memory\n"
    "status = Path('/proc/self/status')\n"
    "def resident(): return int(re.search(r'VmRSS:\\s+(\\d+)', status.read_text())[1])\n"
    "assert keep_freed_memory()\n"
    "before = resident()\n"
    "block = np.ones(64 << 20, np.uint8)\n"
    "del block\n"
    "print(resident() - before)\n"
)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_freed_blocks_stay_with_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", _JOB], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 60_000
