"""The training plot: the running mean is one, and the picture is written."""

from pathlib import Path

import numpy as np

from streamreid.training.curves import draw_curves, running_mean


def test_running_mean_uses_what_is_there_at_the_start() -> None:
    found = running_mean(np.array([2.0, 4.0, 6.0, 8.0]), 2)
    np.testing.assert_allclose(found, [2.0, 3.0, 5.0, 7.0])


def test_a_plot_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss,accuracy,rate_factor\n1,3,0.2,1\n2,2,0.5,1\n", encoding="ascii")
    draw_curves(log, tmp_path / "curves.png", title="made up")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
