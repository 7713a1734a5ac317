#!/usr/bin/env python3
"""Hostile and damaged input at its full numbers, and failing disks: R5, R6, R8, S1 to S5.

1,000 mutated configurations, 1,000 garbage connections and 1,000 spoilt messages, 200 damaged
videos, 50 damaged weights of detectors and 50 of ours, 100 killed writers, a fault at every write,
a full disk. The ordinary test run does a tenth of it.

Example: scripts/chaos_inputs.py --json inputs.json

Exit code 0 when everything was refused, survived or stored as it should be, 1 otherwise.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

from chaos_report import Figures, run_all

REPOSITORY = Path(__file__).resolve().parents[1]
GROUPS: dict[str, list[str]] = {
    "S4 mutated configurations": ["tests/config/test_hostile.py"],
    "S1 garbage and spoilt messages": ["tests/transport/test_hostile_peers.py"],
    "S2, S3 strangers, addresses without keys": ["tests/transport/test_security.py"],
    "R8 damaged videos": ["tests/video/test_file_source.py", "-k", "damaged"],
    "R8 damaged weights of detectors": ["tests/detection/test_select.py", "-k", "damaged"],
    "S5 what could run code, damaged weights of ours": ["tests/chaos/test_inputs.py"],
    "R5 killed writers, faults at every write": ["tests/store/test_crashes.py"],
    "R6 full disk": ["tests/runtime/test_disk_full.py"],
}


def run_group(tests: list[str], report: Path) -> Figures:
    """Run one group of tests in a process of its own, slow ones included."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow", *tests]
    command += ["-p", "no:cacheprovider", f"--junitxml={report}"]
    began_s = time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    (suite,) = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - we have just written it
    cases = {case.get("name"): float(case.get("time", "0")) for case in suite.iter("testcase")}
    slowest = max(cases, key=lambda name: cases[name])
    failed = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
    return {
        "tests": len(cases),
        "failed": failed,
        "skipped": int(suite.get("skipped", "0")),
        "seconds": round(time.monotonic() - began_s, 1),
        "slowest": f"{slowest} ({cases[slowest]:.1f} s)",
        "largest process, MiB": usage.ru_maxrss // 1024,
        "problems": [f"exit code {process.returncode}"] if process.returncode else [],
    }


def main() -> int:
    """Run all groups and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="only groups whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inputs") as folder:
        report = Path(folder) / "report.xml"
        chosen = {name: tests for name, tests in GROUPS.items() if (args.only or "") in name}
        return run_all(
            {name: partial(run_group, tests, report) for name, tests in chosen.items()}, args.json
        )


if __name__ == "__main__":
    sys.exit(main())
