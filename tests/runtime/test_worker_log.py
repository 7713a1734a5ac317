"""What a worker writes about itself: one JSON object a line, no secrets, an exit code."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from streamreid.errors import ConfigError
from streamreid.runtime.logs import parse_line
from streamreid.runtime.worker_log import EXIT_BUG, configure_worker_log, exit_code_of, warn


@pytest.fixture(autouse=True)
def _restored_root_log() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _refuse() -> int:
    raise ConfigError("cannot open rtsp://u:hunter2@h/x")


def _break() -> int:
    raise KeyError("rtsp://u:hunter2@h/x")


@pytest.mark.parametrize(
    ("job", "code", "event"),
    [
        pytest.param(lambda: 0, 0, None, id="done"),
        pytest.param(_refuse, 2, "cannot open rtsp://***@h/x", id="expected"),
        pytest.param(
            _break, EXIT_BUG, "unexpected error; this is a bug in streamreid", id="unexpected"
        ),
    ],
)
def test_every_end_is_an_exit_code_and_at_most_one_line(
    capsys: pytest.CaptureFixture[str], job: Callable[[], int], code: int, event: str | None
) -> None:
    configure_worker_log("info")
    assert exit_code_of(job) == code
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ([event] if event else [])
    assert "hunter2" not in "".join(lines)


def test_fields_newlines_and_levels_survive(capsys: pytest.CaptureFixture[str]) -> None:
    configure_worker_log("warning")
    logging.getLogger("any").info("not this")
    warn("two\nlines", times=3, url="rtsp://u:hunter2@h/")
    (line,) = capsys.readouterr().err.splitlines()
    record = parse_line(line.encode(), "camera a")
    assert (record["event"], record["level"], record["times"]) == ("two\nlines", "warning", 3)
    assert record["url"] == "rtsp://***@h/"
    assert str(record["timestamp"]).endswith("+00:00")
