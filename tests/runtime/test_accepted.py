"""What a run goes by is what was accepted, and who has to start again when it changes."""

from pathlib import Path

import pytest

from streamreid.config.load import load_config
from streamreid.errors import ConfigError
from streamreid.runtime.accepted import AcceptedConfig
from streamreid.runtime.launch import worker_specs

CAMERAS = """\
streamreid: 1
cameras:
  door: {{url: "rtsp://{user}10.0.0.1/s"{door}}}
  hall: {{url: "rtsp://10.0.0.2/s"}}
"""


def _write(path: Path, more: str = "", *, door: str = "", user: str = "") -> None:
    path.write_text(CAMERAS.format(door=door, user=user) + more)


def _started(path: Path, more: str = "") -> AcceptedConfig:
    _write(path, more)
    config = load_config(path)
    config.resolved_run_dir.mkdir(mode=0o700)
    accepted = AcceptedConfig(path, config)
    accepted.read()
    return accepted


def test_workers_read_what_was_accepted_and_nobody_else_can(tmp_path: Path) -> None:
    path = tmp_path / "cams.yaml"
    accepted = _started(path)
    assert accepted.copy.stat().st_mode & 0o777 == 0o600
    path.write_text("cameras: [")
    with pytest.raises(ConfigError, match=r"cams\.yaml:1"):
        accepted.read()
    config = load_config(path, accepted=accepted.copy)
    assert config.camera_ids == ("door", "hall")
    assert config.store.path == tmp_path / "streamreid.sqlite"  # still beside the file
    accepted.forget()
    accepted.forget()
    assert not accepted.copy.exists()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("store: {path: other.sqlite}", "run_dir, store.path"),
        ("run_dir: elsewhere", "run_dir"),
        ("metrics: {port: 9000}", "metrics"),
        ("logging: {level: debug}", "logging"),
    ],
)
def test_what_the_supervisor_goes_by_cannot_change(tmp_path: Path, more: str, named: str) -> None:
    path = tmp_path / "cams.yaml"
    accepted = _started(path)
    before = accepted.copy.read_bytes()
    _write(path, more)
    with pytest.raises(ConfigError, match=f"{named} cannot change while it runs"):
        accepted.read()
    assert accepted.copy.read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "restarted"),
    [
        pytest.param({}, set(), id="nothing"),
        pytest.param({"door": ", detect_fps: 2"}, {"door"}, id="one camera"),
        pytest.param({"user": "me:secret@"}, {"door", "matcher"}, id="its address"),
        pytest.param({"more": "association: {lag: 30s}"}, {"matcher"}, id="association"),
        pytest.param(
            {"more": "detector: {kind: motion}"}, {"door", "hall", "matcher"}, id="detector"
        ),
    ],
)
def test_only_whom_a_change_concerns_starts_again(
    tmp_path: Path, changed: dict[str, str], restarted: set[str]
) -> None:
    path = tmp_path / "cams.yaml"
    _write(path)
    before = {spec.name: spec.digest for spec in worker_specs(path, load_config(path))}
    _write(path, **changed)
    after = {spec.name: spec.digest for spec in worker_specs(path, load_config(path))}
    assert {name for name in after if after[name] != before[name]} == restarted
