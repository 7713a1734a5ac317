"""Benchmarks measure the real parts, say on which machine, and count what they claim."""

import itertools
import json
from pathlib import Path

import pytest

from scripts.write_matcher_page import filled_text, targets_table
from streamreid.cli.bench_gallery import latency_table, rolling_table, shortlist_table
from streamreid.cli.bench_matcher import OFFICIAL, blocks_table, matcher_table, meaning
from streamreid.cli.bench_pipeline import Load, Step, summary
from streamreid.cli.bench_restart import restart_table
from streamreid.cli.bench_table import Report, Table
from streamreid.cli.bench_timing import UNTIMED_RUNS, Timing, take_turns
from streamreid.cli.main import main
from streamreid.reid.matching import backends


def test_ratio_is_taken_within_rounds() -> None:
    """The second round was disturbed; the ratio of the medians would say 1."""
    slow, fast = Timing((2.0, 20.0, 2.0)), Timing((1.0, 10.0, 2.0))
    assert fast.times_faster_than(slow) == 2.0
    assert (slow.median_s, slow.best_s) == (2.0, 2.0)


def test_variants_take_turns_each_after_a_warm_up() -> None:
    order: list[str] = []
    ticks = itertools.count()
    timings = take_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")},
        rounds=2,
        clock=lambda: float(next(ticks)),
    )
    runs = UNTIMED_RUNS + 1
    assert order == [*"a" * runs, *"b" * runs] * 2
    assert timings["a"].seconds == (1.0, 1.0)  # one reading before and one after the last run


def test_matcher_table_has_every_back_end() -> None:
    table = matcher_table(channels=(16,), maps=4, rounds=1)
    assert [row["back-end"] for row in table.rows] == [OFFICIAL, *backends()]
    assert table.rows[0]["x official"] == 1.0


def test_blocks_table_tries_every_size() -> None:
    table = blocks_table(channels=(16,), sizes_mib=(0.1, 1.0), maps=3, rounds=1)
    assert [row["back-end"] for row in table.rows] == [name for name in backends()[1:]]
    assert all(row["0.1 MiB"] and row["1 MiB"] for row in table.rows)


def test_rolling_gallery_counts_exactly() -> None:
    table = rolling_table(hours=0.05, per_second=2, kept_s=30.0, k=5)
    assert [row["seconds with a wrong count"] for row in table.rows] == [0] * len(table.rows)
    assert table.rows[-1]["live"] == 62


def test_latency_tables_cover_the_sizes() -> None:
    assert [row["gallery"] for row in latency_table(sizes=(50, 200), k=5, queries=3).rows] == [
        50,
        200,
    ]
    assert [row["vectors"] for row in shortlist_table(sizes=(100,), k=500, queries=2).rows] == [100]


def test_summary_names_the_bottleneck_and_the_cameras() -> None:
    steps = {"decode": Step(2.0, 25.0), "detect": Step(30.0, 5.0)}
    table = summary(steps, cores=4, load=Load(people=3, gallery=1000), bytes_per_crop=1 << 20)
    text = table.markdown()
    assert "takes 200 ms of one core per second" in text
    assert "about 20 such cameras, 60 people at a time" in text
    assert "1,000 crops (1,000 MiB)" in text
    assert "The bottleneck is: detect." in text


def test_summary_takes_the_unit_that_is_full_first() -> None:
    steps = {
        "decode": Step(2.0, 25.0),
        "features": Step(40.0, 5.0, "GPU"),
        "match": Step(10.0, 5.0, "GPU"),
    }
    text = summary(steps, cores=8, load=Load(), bytes_per_crop=1).markdown()
    assert "takes 50 ms of one core and 250 ms of the GPU per second" in text
    assert "about 4 such cameras" in text
    assert "The bottleneck is: features." in text


@pytest.mark.parametrize(
    ("share", "bound"),
    [(80.0, "arithmetic is the bottleneck"), (30.0, "memory are the bottleneck")],
)
def test_matcher_says_what_its_figures_mean(share: float, bound: str) -> None:
    rows: list[dict[str, str | int | float | bool | None]] = [
        {"C": 128, "back-end": OFFICIAL, "pairs/s": 1000.0, "% of product": None},
        {"C": 128, "back-end": "int8", "pairs/s": 50_000.0, "% of product": share},
    ]
    (note,) = meaning(rows)
    assert "50,000 pairs a second by int8: a shortlist of 100 in 2.0 ms" in note
    assert bound in note


def test_restart_brings_everybody_back() -> None:
    (row,) = restart_table(sizes=(300,)).rows
    assert row["back from snapshot"] == row["back from store"] == row["crops"] == 300


def test_published_page_says_what_the_result_files_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "results" / "matcher.md"
    text = page.read_text("utf-8")
    renewed, blocks = filled_text(text, page.parent / "bench")
    assert renewed == text
    assert {"machine", "targets", "matcher_1_threads", "matcher_2_threads"} <= set(blocks)


def test_missed_targets_are_bold() -> None:
    row = {"back-end": "bf16", "C": 512, "x official": 6.9, "% of product": 85.0}
    assert "| bf16 | 512 | 7 | 85 | **6.9 x**, 85 % |" in targets_table({1: [row]})
    assert "| int8 | 512 | 12 | 65 | - |" in targets_table({1: [row]})


def test_report_carries_machine_and_versions() -> None:
    report = Report("x", [Table("t", [{"a": 1234.5, "b": None, "c": "d"}], ["note"])])
    assert "| 1,234 | - | d |" in report.markdown()
    machine = json.loads(report.json())["machine"]
    assert machine["torch"]
    assert machine["cores"] >= 1


def test_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "matcher", "--channels", "16", "--maps", "3", "--rounds", "1", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["tables"][0]["rows"]


def test_wrong_numbers_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "matcher", "--maps", "0"]) == 2
    assert "--maps" in capsys.readouterr().err
