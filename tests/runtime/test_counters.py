"""Counter files: values come back, survive kill -9, and belong to one version only."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamreid.errors import StoreError
from streamreid.runtime.counter_rows import ended_cameras, read_counters
from streamreid.runtime.counter_table import F64_NAMES, SOURCE_STATES, U64_NAMES
from streamreid.runtime.counters import counter_path, create_counters
from streamreid.runtime.resume import has_crashed
from tests.fakes import ManualClock


def test_values_come_back(tmp_path: Path) -> None:
    with create_counters(tmp_path, "camera", "door", 5, clock=ManualClock(99.0)) as counters:
        counters.add("frames_decoded", 3)
        counters.add("frames_decoded")
        counters.set("people_now", 2)
        assert (counters.value("frames_decoded"), counters.value("people_now")) == (4, 2)
    (row,) = read_counters(tmp_path)
    assert (row.role, row.name, row.incarnation, row.pid) == ("camera", "door", 5, os.getpid())
    assert (row.values["frames_decoded"], row.values["people_now"]) == (4, 2)
    assert row.values["started_at_s"] == 99.0
    assert row.closed
    assert row.consistent


def test_a_worker_that_fails_leaves_the_mark_of_a_crash(tmp_path: Path) -> None:
    def fail() -> None:
        with create_counters(tmp_path, "camera", "door", 5, clock=ManualClock()) as counters:
            counters.set("source_state", SOURCE_STATES.index("ended"))
            counters.set("last_frame_at_s", 1.0)
            counters.set("last_capture_at_s", 50.0)
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        fail()
    assert ended_cameras(tmp_path) == frozenset()
    (row,) = read_counters(tmp_path)
    assert has_crashed(row)


def test_names_are_unique() -> None:
    assert len({*U64_NAMES, *F64_NAMES}) == len(U64_NAMES) + len(F64_NAMES)


@pytest.mark.process
def test_counters_survive_kill_9(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from streamreid.clock import SystemClock\n"
        "from streamreid.runtime.counters import create_counters\n"
        "c = create_counters(Path(sys.argv[1]), 'camera', 'a', 1, clock=SystemClock())\n"
        "book = c.book('crop')\n"
        "for _ in range(1000): book.produce(); c.add('frames_decoded')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (row,) = read_counters(tmp_path)
    assert not row.closed
    assert (row.values["frames_decoded"], row.books["crop"].produced) == (1000, 1000)


@pytest.mark.parametrize("damage", ["cut", "magic", "layout"])
def test_files_of_another_version_are_passed_over(tmp_path: Path, damage: str) -> None:
    create_counters(tmp_path, "camera", "door", 5, clock=ManualClock()).close()
    path = counter_path(tmp_path, "camera", "door", 5)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[100:]
    else:
        data[0 if damage == "magic" else 8] ^= 1
    path.write_bytes(data)
    assert read_counters(tmp_path) == []


def test_a_worker_that_died_in_the_middle_of_a_change_is_marked(tmp_path: Path) -> None:
    counters = create_counters(tmp_path, "camera", "door", 5, clock=ManualClock())
    counters._u64[2] += 1
    counters.close()
    (row,) = read_counters(tmp_path)
    assert not row.consistent


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "counters").write_text("in the way")
    with pytest.raises(StoreError, match="cannot make the counter file"):
        create_counters(tmp_path, "camera", "door", 5, clock=ManualClock())
