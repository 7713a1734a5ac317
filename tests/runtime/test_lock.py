"""One run per run folder."""

import os
from pathlib import Path

import pytest

from streamreid.errors import StoreError
from streamreid.runtime.lock import RunInUseError, lock_run, run_holder


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with lock_run(run_dir, "streamreid run --cameras first.yaml"):
        assert run_dir.stat().st_mode & 0o077 == 0
        with (
            pytest.raises(RunInUseError, match=r"run --cameras first.yaml \(process \d+\)"),
            lock_run(run_dir, "second"),
        ):
            pass
        assert f"process {os.getpid()}" in (run_holder(run_dir) or "")
        with lock_run(tmp_path / "other", "another folder"):
            pass
    assert run_holder(run_dir) is None
    with lock_run(run_dir, "second"):
        pass


def test_two_spellings_of_one_folder_share_its_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        lock_run(tmp_path / "run", "first"),
        pytest.raises(RunInUseError),
        lock_run(tmp_path / "link" / "run", "second"),
    ):
        pass


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreError, match=r"file/run.*choose another store\.path") as raised,
        lock_run(tmp_path / "file" / "run", "a test"),
    ):
        pass
    assert raised.value.exit_code == 4
