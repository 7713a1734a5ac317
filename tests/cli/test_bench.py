"""Benchmarks measure the real parts, say on which machine, and count what they claim."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scripts.write_matcher_page import filled_text, gpu_targets_table, targets_table
from streamreid.cli.bench_gallery import latency_table, rolling_table, shortlist_table
from streamreid.cli.bench_gpu import gpu_table
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
    assert [row["live"] for row in table.rows] == [62] * 12  # filled before the first row


def test_shortest_roll_has_a_row() -> None:
    (row,) = rolling_table(hours=0.0001, per_second=2, kept_s=3.0, k=2).rows
    assert row["live"] == 8


def test_latency_tables_cover_the_sizes() -> None:
    assert [row["gallery"] for row in latency_table(sizes=(50, 200), k=5, queries=3).rows] == [
        50,
        200,
    ]
    sizes = (3, 100)  # fewer than queries
    rows = shortlist_table(sizes=sizes, k=500, queries=5).rows
    assert tuple(row["vectors"] for row in rows) == sizes


def test_summary_names_the_bottleneck_and_the_cameras() -> None:
    steps = {"decode": Step(2.0, 25.0), "detect": Step(30.0, 5.0)}
    load = Load(people=3, gallery=1000)
    table = summary(steps, cores=4, load=load, bytes_per_crop=1 << 20, free=5 << 30)
    text = table.markdown()
    assert "takes 200 ms of one core per second" in text
    assert "about 20 such cameras, 60 people at a time" in text
    assert "1,000 crops (1,000 MiB). Memory for about 5,120 more crops" in text
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


def test_gpu_figures_are_judged_by_the_best_16_bit_back_end() -> None:
    table = gpu_table(
        channels=(128,), galleries=(6,), queries=(1, 2), rounds=1, device="cpu", side=8
    )
    kinds = {str(row["back-end"]) for row in table.rows}
    assert {OFFICIAL, "official einsum fp16", "auto float16", "auto bfloat16", "auto int8"} == kinds
    row = {
        "C": 128,
        "gallery": 10_000,
        "queries": 1,
        "back-end": "auto bfloat16",
        "million pairs/s": 31.0,
        "% of product": 35.0,
        "x official fp16": 2.5,
        "x official fp32": 8.0,
    }
    slower = row | {"back-end": "auto float16", "million pairs/s": 30.0}
    text = gpu_targets_table(
        [slower, row, row | {"back-end": "auto int8", "million pairs/s": 60.0}]
    )
    assert "| 128 | asked | | | 30 | 36 | 2.5 | 7 |" in text
    assert "| 128 | 10,000 | 1 | bfloat16 | 31 | **35** | 2.5 | 8 |" in text
    assert "int8" not in text
    assert "| 128 | 6 | 2 | " in gpu_targets_table([dict(row) for row in table.rows])


def test_gpu_too_small_for_a_gallery_is_noted() -> None:
    table = gpu_table(galleries=(10**9,), channels=(128,), queries=(1,), device="cpu", side=8)
    assert not table.rows
    assert "Not measured: cpu has no memory left while measuring 128 channels" in table.notes[-1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_benchmark_of_a_gpu_that_is_not_there_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.bench_matcher", "--device", "cuda"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 2
    assert "finds no CUDA device" in done.stderr
    assert "Traceback" not in done.stderr


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
