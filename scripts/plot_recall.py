"""Draw the recall curve of the shortlist from the results of `scripts.results_matcher`.

python -m scripts.plot_recall docs/results/bench/matcher_shortlist.json \
        docs/pictures/matcher_recall.png
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def curve(row: dict[str, Any]) -> tuple[list[int], list[float]]:
    """Sizes of the shortlist and the share of the queries that keep their best entry."""
    points = {int(name[2:]): float(value) for name, value in row.items() if name.startswith("K=")}
    return list(points), list(points.values())


def draw(table: dict[str, Any], path: Path) -> None:
    """One line per gallery size: what is lost, on logarithmic axes, since all lose little."""
    figure, axes = plt.subplots(figsize=(8, 5))
    for row in table["rows"]:
        sizes, recall = curve(row)
        lost = [100 * (1 - value) or math.nan for value in recall]
        axes.plot(sizes, lost, "o-", label=f"{row['gallery']:,} crops", markersize=4)
    for level in (1.0, 0.3):
        axes.axhline(level, color="grey", ls=":", lw=1)
        axes.annotate(f"{level:g} %", (1, level * 1.05), fontsize=8)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="K, crops on the shortlist",
        ylabel="queries that lose their exactly best crop, %",
        title=table["title"],
    )
    axes.legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Read results, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    draw(json.loads(arguments.results.read_text("utf-8"))["tables"][0], arguments.picture)


if __name__ == "__main__":
    main()
