"""Settings that all tests share."""

import os
from pathlib import Path

from hypothesis import settings

if not Path("/dev/nvidiactl").exists():
    # Without a GPU the kernels run in Triton's interpreter, which the first import of it decides.
    os.environ.setdefault("TRITON_INTERPRET", "1")

# no deadline: a busy machine must not fail a test
settings.register_profile("streamreid", deadline=None)
settings.load_profile("streamreid")
