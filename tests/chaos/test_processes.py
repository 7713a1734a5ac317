"""Killed, frozen and stopped under load, nothing is lost silently: R1, R4, R7 in short.

Full numbers: scripts/chaos.py.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamreid.runtime.counter_rows import read_counters
from tests.chaos.site import REPOSITORY, Freezer, Killer, Site
from tests.video.servers import free_port

pytestmark = [pytest.mark.process, pytest.mark.timeout(110)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield Site(tmp_path / "r", f"tcp://127.0.0.1:{free_port()}")
    left = [child for child in psutil.Process().children() if child.status() != "zombie"]
    assert not left, "worker processes are left behind"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_r1_ten_kills_under_overload_lose_nothing_silently(site: Site) -> None:
    killer = Killer(site, matchers=5, workers=5, rng=random.Random(1))
    supervisor = site.supervisor(killer)
    killer.done = supervisor.request_stop
    assert supervisor.run() == 0
    audit = site.audit(supervisor.status().imbalances)
    assert audit.problems() == []
    assert len(site.killed) == 10
    # the test itself must have had something to lose
    assert audit.dropped["queue_full"] > 0
    assert audit.dropped["worker_crash"] > 0
    assert audit.stored > 500


@pytest.mark.slow
def test_r4_a_frozen_matcher_blocks_no_camera(site: Site) -> None:
    """Cameras go on decoding, drops are counted, and everything flows again afterwards."""
    freezer = Freezer(site)
    supervisor = site.supervisor(freezer)
    freezer.done = supervisor.request_stop
    assert supervisor.run() == 0
    assert freezer.state == "thawed"
    assert freezer.frames_while_frozen > 100
    assert freezer.dropped_while_frozen > 0
    audit = site.audit(supervisor.status().imbalances)
    assert audit.problems() == []
    assert audit.dropped["worker_crash"] == 0


def test_r7_sigterm_under_load_ends_in_order(site: Site) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.chaos.site import Site\n"
        "site = Site(Path(sys.argv[1]) / 'inner', sys.argv[2])\n"
        "sys.exit(site.supervisor(lambda status: None).run())\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", script, str(site.run_dir), site.endpoint], cwd=REPOSITORY
    )
    inner = site.run_dir / "inner"
    deadline_s = time.monotonic() + 60
    while stored_in(inner) < 100 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    children = psutil.Process(supervisor.pid).children()
    assert len(children) == 4
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(timeout=30) == 0
    assert psutil.wait_procs(children, timeout=5)[1] == []
    rows = read_counters(inner)
    assert all(row.closed for row in rows)
    assert all(
        counts.remainder == counts.depth == 0 for row in rows for counts in row.books.values()
    )


def stored_in(run_dir: Path) -> int:
    return sum(row.books["crop"].stored for row in read_counters(run_dir))
