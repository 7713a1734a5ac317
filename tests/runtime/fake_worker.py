"""A worker process without cameras or networks, for tests of the supervisor.

`--behaviour` says what it does: `good` works until asked to stop, the others fail in their own way.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from streamreid.clock import SystemClock
from streamreid.runtime.counter_table import SOURCE_STATES
from streamreid.runtime.counters import create_counters
from streamreid.runtime.process import die_with_parent, new_incarnation, stop_on_signals

_TURN_S = 0.02


def main() -> int:
    """Behave as told."""
    die_with_parent(os.environ)
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--role", choices=["camera", "matcher"], required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--behaviour", default="good")
    args = parser.parse_args()
    clock = SystemClock()
    with (
        stop_on_signals() as stop,
        create_counters(
            args.run_dir, args.role, args.name, new_incarnation(clock), clock=clock
        ) as counters,
    ):
        if args.behaviour != "exit4":
            counters.set("ready", 1)
        for turn in range(10_000):
            counters.add("turns")
            if stop() and args.behaviour != "deaf":
                time.sleep(2.0 if args.behaviour == "thorough" else 0.0)
                return 0
            code = _misbehave(args.behaviour, turn, args.name)
            if code is not None:
                if args.behaviour == "short":
                    counters.set("source_state", SOURCE_STATES.index("ended"))
                return code
            time.sleep(_TURN_S)
    return 1


def _misbehave(behaviour: str, turn: int, name: str) -> int | None:
    """Exit code when it is time to end."""
    if turn == 0:
        record = {"event": f"hello from {name}", "level": "info", "url": "rtsp://u:hunter2@host/"}
        sys.stderr.write(json.dumps(record) + "\nplain text, password=hunter2\n")
        sys.stderr.flush()
    if behaviour == "short" and turn == 3:
        return 0
    if behaviour.startswith("exit") and turn == 1:
        return int(behaviour.removeprefix("exit"))
    if behaviour == "crash" and turn == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "hang" and turn == 3:
        time.sleep(600)
    return None


if __name__ == "__main__":
    sys.exit(main())
