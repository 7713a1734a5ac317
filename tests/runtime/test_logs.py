"""Log lines of workers: merged, bounded, masked, and unable to forge one another."""

import io
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.runtime.logs import LineSplitter, LogWriter, parse_line, render_json, render_text


@given(st.binary(max_size=500), st.integers(1, 50))
def test_lines_do_not_depend_on_how_the_pipe_cuts_them(data: bytes, step: int) -> None:
    splitter = LineSplitter()
    lines = [
        line
        for start in range(0, len(data), step)
        for line in splitter.feed(data[start : start + step])
    ]
    assert lines + splitter.finish() == [line for line in data.split(b"\n") if line.strip()]


def test_a_line_without_end_is_cut() -> None:
    lines = LineSplitter().feed(b"x" * 200_000)
    assert [len(line) for line in lines] == [65536] * 3


@pytest.mark.parametrize(
    ("line", "event", "level"),
    [
        (b'{"event": "up", "level": "error"}', "up", "error"),
        (b'{"event": "up", "level": "fatal"}', "up", "info"),
        (b"Segmentation fault", "Segmentation fault", "warning"),
        (b'{"level": "info"}', '{"level": "info"}', "warning"),
        (b"[" * 5000, "[" * 5000, "warning"),
        (b"\xff\xfe", "��", "warning"),
    ],
)
def test_every_line_becomes_a_record(line: bytes, event: str, level: str) -> None:
    record = parse_line(line, "camera a")
    assert (record["event"], record["level"], record["process"]) == (event, level, "camera a")


def test_a_worker_cannot_speak_for_another() -> None:
    assert parse_line(b'{"event": "x", "process": "supervisor"}', "camera a")["process"] == (
        "camera a"
    )


@pytest.mark.parametrize("style", ["json", "text"])
def test_secrets_and_control_characters_never_reach_the_stream(
    style: Literal["json", "text"],
) -> None:
    stream = io.StringIO()
    write = LogWriter(stream, style=style, now_s=lambda: 0.0)
    line = json.dumps({"event": "open rtsp://u:hunter2@h/\n\x1b[31mforged", "password=hunter2": 1})
    write(parse_line(line.encode(), "camera a"))
    text = stream.getvalue()
    assert "hunter2" not in text
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_levels_below_the_lowest_are_left_out() -> None:
    stream = io.StringIO()
    write = LogWriter(stream, style="text", level="warning", now_s=lambda: 0.0)
    write({"event": "a", "level": "info"})
    write({"event": "b", "level": "error"})
    assert stream.getvalue() == "00:00:00 error   b\n"


def test_json_lines_begin_with_what_everybody_reads() -> None:
    line = render_json({"extra": 1, "event": "e", "process": "p", "level": "info"})
    assert line == '{"level": "info", "process": "p", "event": "e", "extra": 1}'
    assert render_text({"event": "e", "extra": "a b", "level": "info"}) == "info    e extra=a b"
