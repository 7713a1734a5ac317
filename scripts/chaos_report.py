"""Runs faults one after the other and prints what was found; for the chaos scripts beside it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
"""What one fault showed: anything by name; `problems` is a list of everything that must not be."""


def run_all(faults: Mapping[str, Callable[[], Figures]], json_path: Path | None = None) -> int:
    """Run every fault and print its figures as they come.

    Args:
        faults: What to run, by name.
        json_path: Where to write the figures too.

    Returns:
        Exit code: 0 when nothing went wrong, 1 otherwise.
    """
    results: dict[str, Figures] = {}
    for name, run in faults.items():
        print(f"{name} ...", flush=True)
        results[name] = run()
        for key, value in results[name].items():
            print(f"  {key}: {value}", flush=True)
    if json_path is not None:
        json_path.write_text(json.dumps(results, indent=2) + "\n")
    return int(any(one["problems"] or one.get("exit") for one in results.values()))
