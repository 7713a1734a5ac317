"""Measure the matcher, the feature network and the gallery; write JSON and Markdown.

On a CPU:  python -m scripts.bench_matcher --out docs/results/bench --page docs/results/matcher.md
On a GPU:  the same with --device cuda

Each process measures one number of threads, since a thread pool cannot be made smaller again. With
one thread processor time is taken, with more wall time: use an idle machine. Everything together
takes less than ten minutes on two cores.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from scripts.write_matcher_page import fill
from streamreid.cli.bench_features import features_table
from streamreid.cli.bench_gallery import latency_table, rolling_table, shortlist_table
from streamreid.cli.bench_gpu import gpu_table
from streamreid.cli.bench_matcher import blocks_table, matcher_table
from streamreid.cli.bench_restart import restart_table
from streamreid.cli.bench_table import Report, Table
from streamreid.errors import ConfigError
from streamreid.reid.device import choose_device

PARTS = ("matcher", "blocks", "features", "latency", "shortlist", "rolling", "restart")


def measure(part: str, threads: int, rounds: int, weights: str) -> Table:
    """One table on the CPU."""
    torch.set_num_threads(threads)
    tables: dict[str, Callable[[], Table]] = {
        "matcher": lambda: matcher_table(
            channels=(128, 256, 512, 1024), threads=threads, rounds=rounds
        ),
        "features": lambda: features_table(weights=weights, threads=threads, rounds=rounds),
        "blocks": lambda: blocks_table(rounds=rounds),
        "latency": latency_table,
        "shortlist": shortlist_table,
        "rolling": rolling_table,
        "restart": restart_table,
    }
    return tables[part]()


def measure_gpu(rounds: int, weights: str) -> list[Table]:
    """Every table on a GPU: pairs, features, queries in a full gallery, a gallery that rolls."""
    half = torch.float16
    return [
        gpu_table(rounds=rounds),
        features_table(weights=weights, device="cuda", threads=2, rounds=rounds),
        latency_table(sizes=(20_000, 100_000), device="cuda", map_dtype=half),
        shortlist_table(device="cuda"),
        rolling_table(hours=2.0, device="cuda", map_dtype=half),
    ]


def main() -> None:
    """Measure what was asked for and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, help="default: 15, on a GPU 5")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="page whose tables and pictures are renewed")
    arguments = parser.parse_args()
    try:
        choose_device(arguments.device)
    except ConfigError as exc:
        parser.error(str(exc))
    rounds = arguments.rounds or (15 if arguments.device == "cpu" else 5)
    if arguments.device == "cuda":
        tables = measure_gpu(rounds, arguments.weights)
        print(*Report("matcher_gpu", tables).write(arguments.out))
        if arguments.page is not None:
            print("renewed:", *fill(arguments.page, arguments.out))
        return
    if len(arguments.threads) > 1 or len(arguments.parts) > 1:
        for part in arguments.parts:
            # A restart reads files and copies: the number of threads does not matter.
            for threads in arguments.threads[-1:] if part == "restart" else arguments.threads:
                command = [sys.executable, "-m", "scripts.bench_matcher", "--parts", part]
                command += ["--threads", str(threads), "--rounds", str(rounds)]
                command += ["--weights", arguments.weights, "--out", str(arguments.out)]
                subprocess.run(command, check=True)
        if arguments.page is not None:
            print("renewed:", *fill(arguments.page, arguments.out))
        return
    part, threads = arguments.parts[0], arguments.threads[0]
    table = measure(part, threads, rounds, arguments.weights)
    print(*Report(f"{part}_{threads}_threads", [table]).write(arguments.out))


if __name__ == "__main__":
    main()
