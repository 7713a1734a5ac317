"""What every worker does with requests to stop, in processes of its own."""

import signal
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(60)]

WORKER = """
import time
from streamreid.runtime.process import stop_on_signals

with stop_on_signals() as stop:
    print("works", flush=True)
    while not stop():
        time.sleep(0.01)
    print("stops", flush=True)
    time.sleep(DRAIN_S)
print("done", flush=True)
"""


def _started(drain_s: float) -> subprocess.Popen[str]:
    source = WORKER.replace("DRAIN_S", str(drain_s))
    worker = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "works\n"
    return worker


def test_a_group_that_is_stopped_as_a_whole_ends_in_order() -> None:
    """A worker is reached twice then: directly, and through its supervisor."""
    worker = _started(1.0)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)
    time.sleep(0.2)
    worker.send_signal(signal.SIGTERM)
    said, _ = worker.communicate(timeout=30)
    assert (said, worker.returncode) == ("stops\ndone\n", 0)


def test_who_asks_again_later_does_not_want_to_wait() -> None:
    worker = _started(40.0)
    worker.send_signal(signal.SIGTERM)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "stops\n"
    time.sleep(1.5)
    worker.send_signal(signal.SIGTERM)
    said, _ = worker.communicate(timeout=30)
    assert (said, worker.returncode) == ("", 143)
