#!/usr/bin/env python3
r"""Choose TLift's parameters on training identities of Market-1501, never on test identities.

Every second identity of train.txt makes one evaluation with as many people in the cameras as the
held-out test has. An embedding that has never seen Market-1501 scores it, because a network trained
on these identities would be too good on them. Prints docs/results/tlift.md: Rank-1 and mAP for a
grid, for calibrated scores and for re-ranked ones.

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
HEAD = """# TLift's parameters

Made by `scripts/tune_tlift.py` on training identities of Market-1501 only: every second identity of
`train.txt` ({queries} queries, {gallery} gallery images, as many people in the cameras as in the
held-out test; times by {clock}). OSNet x0.25 trained on MSMT17, which has never seen these people,
scores them; TLift alone works on a logistic map of the cosine fitted so that the mean is 0.02, and
after re-ranking on 1 - distance. Rank-1 / mAP in per cent. The first window with K 10 and alpha
0.2 is the published setting. `eval reid` takes tau 300 s, sigma 400 s and K 5, with alpha 0.1 on
scores and 0.4 after re-ranking.
"""


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
    plain, reranked = (figures(stages[name]) for name in ("plain", "rerank"))
    print(HEAD.format(queries=len(queries), gallery=len(gallery), clock=data.clock))
    print(f"Without TLift: plain {plain}, re-ranked {reranked}.\n")
    print("| tau s | sigma s | K | alpha | TLift | RR + TLift |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for (tau_s, sigma_s), pivots, alpha in itertools.product(WINDOWS_S, PIVOTS, ALPHAS):
        settings = LiftSettings(tau_s, sigma_s, pivots, alpha)
        cells = [
            lifted(values, queries, gallery, settings)
            for values in (probability(found.across), closeness)
        ]
        row = (f"{tau_s:.0f}", f"{sigma_s:.0f}", str(pivots), str(alpha), *cells)
        print(f"| {' | '.join(row)} |", flush=True)


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
    return f"{100 * stage.ranking.rank(1):.1f} / {100 * stage.ranking.mean_ap:.1f}"


if __name__ == "__main__":
    main()
