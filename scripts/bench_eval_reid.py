#!/usr/bin/env python3
r"""How much faster `eval reid` is than the reference way: einsum on float32 maps by torch.

Both ways work on the same images, in turns, in one process; each figure is the median over the
rounds, of wall time and of the processor time of all threads (which other processes on the machine
disturb less). The totals for a whole data set follow from the costs per image and per pair.

Example: scripts/bench_eval_reid.py --root Market-1501 --query query.txt --gallery gallery.txt
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from streamreid.evaluation.datasets import load
from streamreid.evaluation.features import read_rgb
from streamreid.reid.extract import FeatureExtractor, choose_runner
from streamreid.reid.matching import FeatureMaps, match_scores
from streamreid.reid.qaconv import QAConv, fold
from streamreid.reid.weights import load_model

# The reference scores blocks; 16 x 16 maps of 24x8 are 38 MB of correlation.
EINSUM_BLOCK = 16
WAYS = ("reference", "eval reid")
CLOCKS = ("wall", "cpu")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with the images")
    parser.add_argument("--query", required=True, help="folder or list of the queries")
    parser.add_argument("--gallery", required=True, help="folder or list of the gallery")
    parser.add_argument("--dataset", default="folder", help="how names are parsed")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--images", type=int, default=64, help="images per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


@torch.inference_mode()
def einsum_scores(query: torch.Tensor, gallery: torch.Tensor, layer: QAConv) -> torch.Tensor:
    """The layer itself, block by block."""
    rows = [
        torch.cat([layer(part, items) for items in torch.split(gallery, EINSUM_BLOCK)], dim=1)
        for part in torch.split(query, EINSUM_BLOCK)
    ]
    return torch.cat(rows)


def seconds(work: Callable[[], object]) -> dict[str, float]:
    """Wall and processor time of one call."""
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    work()
    return {
        "wall": time.perf_counter() - begun_s,
        "cpu": time.process_time() - begun_cpu_s,
    }


def costs(
    taken: dict[str, list[dict[str, float]]], clock: str, crops: int, images: int, pairs: int
) -> dict[str, object]:
    """Costs per image and pair and what they make for a whole data set, by one clock."""
    median = {
        name: statistics.median(value[clock] for value in values[1:])
        for name, values in taken.items()
    }
    per_image = {way: median[f"{way} features"] / crops for way in WAYS}
    per_pair = {way: median[f"{way} scores"] / crops**2 for way in WAYS}
    whole = {way: per_image[way] * images + per_pair[way] * pairs for way in WAYS}
    return {
        "ms_per_image": {way: round(1e3 * value, 2) for way, value in per_image.items()},
        "us_per_pair": {way: round(1e6 * value, 2) for way, value in per_pair.items()},
        "whole_set_s": {way: round(value, 1) for way, value in whole.items()},
        "times_faster": round(whole["reference"] / whole["eval reid"], 2),
    }


def main() -> None:
    """Measure and print JSON."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    data = load(args.dataset, args.root, query=args.query, gallery=args.gallery, required=())
    crops = [read_rgb(record.path) for record in data.gallery[: args.images]]
    model = load_model(args.weights)
    device = torch.device("cpu")
    choice = choose_runner(
        model.network, size=model.input_size, device=device, threads=args.threads
    )
    fast_features = FeatureExtractor(choice.runner, model.input_size)
    maps = model.maps(crops)
    packed, head = FeatureMaps.pack(maps, dtype=torch.int8), fold(model.head)
    ways: dict[str, Callable[[], object]] = {
        "reference features": lambda: model.maps(crops),
        "eval reid features": lambda: fast_features(crops),
        "reference scores": lambda: einsum_scores(maps, maps, model.head),
        "eval reid scores": lambda: match_scores(packed, packed.select(slice(None)), head),
    }
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(args.rounds + 1):
        for name, work in ways.items():
            taken[name].append(seconds(work))
    images, pairs = len(data.query) + len(data.gallery), len(data.query) * len(data.gallery)
    score_difference = match_scores(packed, packed, head) - einsum_scores(maps, maps, model.head)
    report = {
        "images": images,
        "pairs": pairs,
        "features_by": choice.runner.name,
        **{clock: costs(taken, clock, len(crops), images, pairs) for clock in CLOCKS},
        "largest_score_difference": float(np.abs(score_difference.numpy()).max()),
        "threads": args.threads,
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
