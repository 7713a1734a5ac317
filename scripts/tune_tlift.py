#!/usr/bin/env python3
r"""Choose TLift's parameters on training identities of Market-1501, never on test identities.

Every second identity of train.txt makes one evaluation with as many people in the cameras as the
held-out test has. An embedding that has never seen Market-1501 scores it, because a network trained
on these identities would be too good on them. Prints Rank-1 and mAP for a grid, for calibrated
scores and for re-ranked ones.

Example: scripts/tune_tlift.py --market Market-1501 --list train.txt --clock clock.csv \
    --onnx osnet_x0_25_msmt17.onnx
"""

import argparse
import itertools
from pathlib import Path

from streamreid.evaluation.datasets import Dataset, ImageRecord, load
from streamreid.evaluation.embedding import (
    OnnxEmbedding,
    cosines,
    embed_records,
    fit_probability,
)
from streamreid.evaluation.stages import LiftSettings, Scores, Stage, evaluate_stages
from streamreid.types import Float32Array

WINDOWS_S = ((100.0, 200.0), (200.0, 200.0), (200.0, 400.0), (300.0, 400.0))
PIVOTS = (3, 5, 10)
ALPHAS = (0.1, 0.2, 0.4)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--market", type=Path, required=True, help="folder with the images")
    parser.add_argument("--list", type=Path, required=True, help="train.txt")
    parser.add_argument("--clock", type=Path, required=True, help="clock.csv")
    parser.add_argument("--onnx", type=Path, required=True, help="embedding network")
    return parser.parse_args()


def split(data: Dataset) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """Of half the identities the first image of each camera as query, the rest as gallery."""
    queries: list[ImageRecord] = []
    gallery: list[ImageRecord] = []
    seen: set[tuple[int, int]] = set()
    for record in data.train:
        if record.identity % 2:
            continue
        key = (record.identity, record.camera)
        (gallery if key in seen else queries).append(record)
        seen.add(key)
    return queries, gallery


def main() -> None:
    """Print the grid."""
    args = parse_args()
    data = load(
        "market1501", args.market, train=str(args.list), clock=args.clock, required=("train",)
    )
    queries, gallery = split(data)
    embed = OnnxEmbedding(args.onnx)
    found = cosines(embed_records(queries, embed), embed_records(gallery, embed))
    probability = fit_probability(found.across, queries, gallery)
    stages = evaluate_stages(found, queries, gallery, probability=probability, rerank=True)
    closeness = 1.0 - stages["rerank"].distance
    print(f"{len(queries)} queries, {len(gallery)} gallery images, clock: {data.clock}")
    for name, stage in stages.items():
        print(f"{name}: Rank-1 mAP {figures(stage)}")
    print("tau_s sigma_s pivots alpha | TLift Rank-1 mAP | RR+TLift Rank-1 mAP")
    for (tau_s, sigma_s), pivots, alpha in itertools.product(WINDOWS_S, PIVOTS, ALPHAS):
        settings = LiftSettings(tau_s, sigma_s, pivots, alpha)
        cells = [
            lifted(values, queries, gallery, settings)
            for values in (probability(found.across), closeness)
        ]
        print(
            f"{tau_s:5.0f} {sigma_s:7.0f} {pivots:6d} {alpha:5.1f} | " + " | ".join(cells),
            flush=True,
        )


def lifted(
    values: Float32Array,
    queries: list[ImageRecord],
    gallery: list[ImageRecord],
    settings: LiftSettings,
) -> str:
    """Rank-1 and mAP after lifting values in [0, 1]."""
    stages = evaluate_stages(
        Scores(values),
        queries,
        gallery,
        probability=lambda score: score,
        lift=True,
        plain_lift=settings,
    )
    return figures(stages["tlift"])


def figures(stage: Stage) -> str:
    """Rank-1 and mAP of a stage, per cent."""
    return f"{100 * stage.ranking.rank(1):.1f} {100 * stage.ranking.mean_ap:.1f}"


if __name__ == "__main__":
    main()
