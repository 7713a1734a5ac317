#!/usr/bin/env python3
"""Faults at their full numbers: kills under overload (R1), a frozen matcher (R4), ends (R7).

Example: scripts/chaos.py --kills 100 --freeze-frames 2000 --json chaos.json

Exit code 0 when nothing was lost silently, 1 otherwise.
"""

import argparse
import os
import random
import signal
import socket
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import psutil
from chaos_report import Figures, run_all

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from streamreid.runtime.counter_rows import read_counters
from streamreid.runtime.status import RunStatus
from tests.chaos.site import Freezer, Killer, Site

FULL_FREEZE_FRAMES, LEAST_FROZEN_S = 3000, 30.0


def new_site(folder: Path) -> Site:
    """A run on a free port of loopback, with keys."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Site(folder, f"tcp://127.0.0.1:{probe.getsockname()[1]}")


def kills(folder: Path, count: int, seed: int) -> Figures:
    """R1: kill matchers and workers under overload, with CURVE."""
    site = new_site(folder)
    killer = Killer(site, matchers=count // 2, workers=count - count // 2, rng=random.Random(seed))  # noqa: S311 - picks victims
    supervisor = site.supervisor(killer)
    killer.done = supervisor.request_stop
    began_s = time.monotonic()
    code = supervisor.run()
    audit = site.audit(supervisor.status().imbalances)
    return {
        "exit": code,
        "seconds": round(time.monotonic() - began_s, 1),
        "kills": len(site.killed),
        **{key: value for key, value in asdict(audit).items() if key != "imbalances"},
        "problems": audit.problems(),
    }


def freeze(folder: Path, frames: int) -> Figures:
    """R4: freeze the matcher, watch the cameras, thaw it."""
    site = new_site(folder)
    freezer = Freezer(site, frames)
    supervisor = site.supervisor(freezer)
    freezer.done = supervisor.request_stop
    code = supervisor.run()
    audit = site.audit(supervisor.status().imbalances)
    problems = audit.problems()
    if freezer.frozen_s < LEAST_FROZEN_S and frames >= FULL_FREEZE_FRAMES:
        problems.append(f"the matcher was frozen for {freezer.frozen_s:.0f} s only")
    if freezer.recovery_s > 5.0:
        problems.append(f"recovery took {freezer.recovery_s:.1f} s, allowed are 5")
    return {
        "exit": code,
        "frozen_s": round(freezer.frozen_s, 1),
        "frames_while_frozen": freezer.frames_while_frozen,
        "dropped_while_frozen": freezer.dropped_while_frozen,
        "recovery_s": round(freezer.recovery_s, 2),
        "problems": problems,
    }


def terminate(folder: Path) -> Figures:
    """R7: SIGTERM under load."""
    site = new_site(folder)
    asked_s: list[float] = []

    def ask(status: RunStatus) -> None:
        stored = sum(row.books["crop"].stored for row in status.rows)
        if stored > 500 and not asked_s:
            asked_s.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor = site.supervisor(ask)
    code = supervisor.run()
    took_s = time.monotonic() - asked_s[0]
    audit = site.audit(supervisor.status().imbalances)
    problems = audit.problems()
    if took_s > 5.0:
        problems.append(f"the end took {took_s:.1f} s, allowed are 5")
    if not all(row.closed for row in supervisor.status().rows):
        problems.append("counters of an ended process are not closed")
    if psutil.Process().children():
        problems.append("processes are left behind")
    return {"exit": code, "seconds": round(took_s, 2), "problems": problems}


def orphans(folder: Path) -> Figures:
    """R7: what is left three seconds after the supervisor was killed."""
    site = new_site(folder)
    pid = os.fork()
    if pid == 0:
        site.supervisor(lambda _: None).run()
        os._exit(0)
    deadline_s = time.monotonic() + 60.0
    while stored_by(site) < 100 and time.monotonic() < deadline_s:
        time.sleep(0.1)
    children = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    _, left = psutil.wait_procs(children, timeout=3.0)
    problems = [f"{len(left)} processes outlive their supervisor"] if left else []
    if len(children) != site.cameras + 1:
        problems.append(f"{len(children)} processes ran, expected {site.cameras + 1}")
    return {"exit": 0, "processes": len(children), "left": len(left), "problems": problems}


def stored_by(site: Site) -> int:
    """Crops that a running site has stored so far."""
    return sum(row.books["crop"].stored for row in read_counters(site.run_dir))


def main() -> int:
    """Run all faults and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--freeze-frames", type=int, default=FULL_FREEZE_FRAMES, help="per camera, ~100/s"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="src") as name:
        folder = Path(name)
        return run_all(
            {
                "R1 kills under overload": lambda: kills(folder / "r1", args.kills, args.seed),
                "R4 frozen matcher": lambda: freeze(folder / "r4", args.freeze_frames),
                "R7 SIGTERM under load": lambda: terminate(folder / "r7"),
                "R7 supervisor killed": lambda: orphans(folder / "r7b"),
            },
            args.json,
        )


if __name__ == "__main__":
    sys.exit(main())
