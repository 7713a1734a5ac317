"""Draws the loss and the accuracy of a training run from its log."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from streamreid.types import Float64Array

_WINDOW = 25


def draw_curves(log: Path, out: Path, *, title: str) -> None:
    """Write a PNG with loss and accuracy over the batches, raw and as a running mean.

    Args:
        log: CSV with the columns step, loss and accuracy.
        out: The PNG to write.
        title: Stands above the plot.
    """
    with log.open(newline="", encoding="ascii") as stream:
        rows = list(csv.DictReader(stream))
    step = np.array([float(row["step"]) for row in rows])
    figure = Figure(figsize=(8, 5), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(2, 1, sharex=True)
    for panel, name in zip(panels, ("loss", "accuracy"), strict=True):
        values = np.array([float(row[name]) for row in rows])
        panel.plot(step, values, linewidth=0.5, alpha=0.4)
        panel.plot(step, running_mean(values, _WINDOW), linewidth=1.5)
        panel.set_ylabel(name)
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("batch")
    figure.savefig(out, dpi=120)


def running_mean(values: Float64Array, window: int) -> Float64Array:
    """Mean of the last `window` values at each place, of fewer at the start."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - window, 0)
    mean: Float64Array = (total[last] - total[first]) / np.maximum(last - first, 1)
    return mean
