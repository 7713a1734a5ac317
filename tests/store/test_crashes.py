"""Killed writers and failing disks: nothing acknowledged is lost or stored by halves (R5)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def drive(*arguments: str) -> str:
    """Run the crash driver; its exit code says whether every check held."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.crash_driver", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if done.stdout.startswith("skipped"):
        pytest.skip(done.stdout)
    return done.stdout


@pytest.mark.process
def test_ten_kills(tmp_path: Path) -> None:
    assert "integrity ok" in drive("kill", str(tmp_path), "10", "1")


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_kills(tmp_path: Path) -> None:
    assert "integrity ok" in drive("kill", str(tmp_path), "100", "2")


@pytest.mark.process
@pytest.mark.parametrize("duration", ["once", "lasting"])
def test_a_fault_at_every_seventh_write(tmp_path: Path, duration: str) -> None:
    assert "nothing acknowledged was lost" in drive("fault", str(tmp_path / "f"), "7", duration)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("duration", ["once", "lasting"])
def test_a_fault_at_every_write(tmp_path: Path, duration: str) -> None:
    assert "nothing acknowledged was lost" in drive("fault", str(tmp_path / "f"), "1", duration)
