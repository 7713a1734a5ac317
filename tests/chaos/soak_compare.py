"""Two soaks of one scene, with and without faults: what the faults cost."""

import json
from pathlib import Path
from typing import Any

from streamreid.simulation.truth import read_truth
from tests.chaos.soak import problems
from tests.chaos.soak_score import Windows, score, without_unseen

MOST_LOST = 0.02
"""IDF1 over cameras that faults may cost."""

MOST_GROWN = 1.1
"""Memory with faults, as a multiple of that without."""

MOST_SLOWED = 1.2
"""Slowest crops (p99) of the second half of a run without faults, as a multiple of the first."""


def compare(scene: Path, faulty: Path, calm: Path) -> dict[str, Any]:
    """Judge both runs against the truth.

    Args:
        scene: Folder of the drawn scene.
        faulty: Folder of the run with faults.
        calm: Folder of the run without.

    Returns:
        IDF1 over cameras of both, and everything that is wrong.
    """
    truth = read_truth(scene)
    runs = {
        name: json.loads((path / "soak.json").read_text())
        for name, path in (("faults", faulty), ("calm", calm))
    }
    seconds = float(runs["calm"]["seconds"])
    down = _both(runs["faults"]["blind"], runs["calm"]["blind"])
    shares = [sum(b - a for a, b in windows) / seconds for windows in down.values()]
    down = without_after(down, seconds)
    unseen = without_unseen(truth, down)

    def idf1(name: str, folder: Path, left_out: Windows) -> float:
        report = score(
            folder / "soak.sqlite", truth, origin_s=runs[name]["origin_s"], left_out=left_out
        )
        return round(report.multi.idf1, 4)

    found: dict[str, Any] = {
        "IDF1 over cameras without faults": idf1("calm", calm, down),
        "IDF1 over cameras with faults": idf1("faults", faulty, down),
        "without faults, only people seen by nobody left out": idf1("calm", calm, unseen),
        "with faults, only people seen by nobody left out": idf1("faults", faulty, unseen),
        "share of camera time that was down": round(sum(shares) / len(shares), 4),
    }
    lost = found["IDF1 over cameras without faults"] - found["IDF1 over cameras with faults"]
    found["problems"] = [f"{n}: {one}" for n, run in runs.items() for one in problems(run)]
    for name, memory in runs["faults"]["memory"].items():
        largest, usual = memory["max MiB"], runs["calm"]["memory"][name]["max MiB"]
        if largest > MOST_GROWN * usual:
            found["problems"].append(f"{name} grew to {largest} MiB with faults, else {usual}")
    early, late = (runs["calm"]["latency s"][f"{half} half"] for half in ("first", "second"))
    if late["p99"] > MOST_SLOWED * early["p99"]:
        found["problems"].append(f"p99 of crop to row grew from {early['p99']} to {late['p99']} s")
    if lost > MOST_LOST:
        found["problems"].append(f"faults cost {lost:.3f} IDF1, allowed are {MOST_LOST}")
    return found


def without_after(left_out: Windows, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """The same windows and everything after the end of a run: the clips are longer."""
    return {name: [*windows, (seconds, float("inf"))] for name, windows in left_out.items()}


def _both(one: Windows, other: Windows) -> dict[str, list[tuple[float, float]]]:
    return {name: [(a, b) for a, b in [*one[name], *other[name]]] for name in one}
