#!/usr/bin/env python3
"""Soak (R10): four RTSP cameras for half an hour, with faults at random and without, compared.

Both runs show the same drawn people, at the same time if the machine has two cores to spare. The
bar: books exact, database sound, memory flat, and IDF1 over cameras at most 0.02 lower with faults,
moments in which a camera was down left out in both.

Example: scripts/soak.py --out soak --seconds 1800

Exit code 0 when the bar was met, 1 otherwise.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.chaos.soak import Plan, problems, soak
from tests.chaos.soak_compare import compare
from tests.chaos.soak_scene import drawn_scene

PARTS = ("faults", "calm")


def start(args: argparse.Namespace, part: str) -> subprocess.Popen[bytes]:
    """One of the two runs as a process of its own."""
    command = [sys.executable, __file__, "--out", str(args.out), "--seconds", str(args.seconds)]
    command += ["--seed", str(args.seed), "--every", str(args.every), "--only", part]
    return subprocess.Popen(command)


def show(found: dict[str, Any], indent: str = "  ") -> None:
    """Print figures, without the long lists."""
    for key, value in found.items():
        text = len(value) if key == "faults" else value
        if key != "blind":
            print(f"{indent}{key}: {text}", flush=True)


def main() -> int:
    """Draw, run both, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--every", type=float, default=40.0, help="mean seconds between faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-turn", action="store_true", help="one run after the other")
    parser.add_argument("--only", choices=(*PARTS, "compare"), help="only this part")
    args = parser.parse_args()
    scene = args.out / "scene"
    drawn_scene(scene, args.seconds, seed=args.seed)
    if args.only in PARTS:
        every_s = args.every if args.only == "faults" else None
        found = soak(Plan(args.seconds, args.seed, every_s), scene, args.out / args.only)
        show({**found, "problems": problems(found)})
        return int(bool(problems(found)))
    if args.only is None:
        running = []
        for part in PARTS:
            running.append(start(args, part))
            if args.in_turn:
                running[-1].wait()
        for process in running:
            process.wait()
    found = compare(scene, args.out / "faults", args.out / "calm")
    (args.out / "compare.json").write_text(json.dumps(found, indent=1) + "\n")
    show(found)
    return int(bool(found["problems"]))


if __name__ == "__main__":
    sys.exit(main())
