"""Draw the roofline of the matcher from the results of `scripts.bench_matcher`.

python -m scripts.plot_roofline docs/results/bench/matcher_1_threads.json \
        docs/pictures/matcher_roofline.png
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Bytes that one value of a gallery map takes; a pair costs 2 * 192 operations for each value read.
_BYTES = {"onednn": 4, "bf16": 2, "int8": 1}
_COLOURS = {"onednn": "tab:blue", "bf16": "tab:orange", "int8": "tab:green"}
_READ_GB_S = (15.0, 32.0)
_OPERATIONS = 2 * 192


def peaks(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Rate of the large matrix product of each kind, median over the rows, GFLOP/s."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["back-end"] in _BYTES:
            peak = row["GFLOP/s"] / row["% of product"] * 100
            found.setdefault(row["back-end"], []).append(peak)
    return {name: sorted(values)[len(values) // 2] for name, values in found.items()}


def plain_intensity(channels: int) -> float:
    """Operations per byte of the published way: it writes the correlation and reads it twice."""
    locations = _OPERATIONS // 2
    moved = 4 * locations * channels + 3 * 4 * locations * locations
    return 2 * locations * locations * channels / moved


def draw(rows: list[dict[str, Any]], machine: str, path: Path) -> None:
    """One picture: roofs as lines, every number of channels as a point; the extremes named."""
    figure, axes = plt.subplots(figsize=(8, 5))
    intensity = [4.0 * 2**step for step in range(9)]
    for read in _READ_GB_S:
        axes.plot(
            intensity, [read * value for value in intensity], "k:", label=f"{read:g} GB/s per core"
        )
    for name, peak in peaks(rows).items():
        axes.axhline(peak, color=_COLOURS[name], ls="--", label=f"{name} product, {peak:.0f} G/s")
        points = [row for row in rows if row["back-end"] == name]
        at = _OPERATIONS / _BYTES[name]
        axes.plot([at] * len(points), [row["GFLOP/s"] for row in points], "o", color=_COLOURS[name])
        ordered = sorted(points, key=lambda row: float(row["GFLOP/s"]))
        for row, above in ((ordered[0], "top"), (ordered[-1], "bottom")) if ordered else ():
            where = (at * 1.05, row["GFLOP/s"])
            axes.annotate(f"C = {row['C']}", where, fontsize=7, verticalalignment=above)
    plain = [row for row in rows if row["back-end"].startswith("official")]
    axes.plot(
        [plain_intensity(row["C"]) for row in plain],
        [row["GFLOP/s"] for row in plain],
        "x",
        color="tab:red",
        label="published way, float32 (correlation written and read)",
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations per byte of gallery map (one query)",
        ylabel="10^9 operations per second, one thread",
        title=f"One query against 100 maps of 24x8\n{machine}",
    )
    axes.set_ylim(20, 2000)
    axes.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Read results, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    report = json.loads(arguments.results.read_text("utf-8"))
    machine = f"{report['machine']['processor']}, torch {report['machine']['torch']}"
    draw(report["tables"][0]["rows"], machine, arguments.picture)


if __name__ == "__main__":
    main()
