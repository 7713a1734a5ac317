#!/usr/bin/env python3
"""What the shortlist does to live TLift: its weights, and who is who, with it and without it.

One stream is replayed with the candidates that `run` compares and with every track there is; then
no match can be missing from the lists that TLift takes its pivots from, and its weights are exact.

    python scripts/measure_shortlist.py --root MARKET --query query.txt --gallery gallery.txt \
        --clock clock.csv --weights qaconv-market --json shortlist.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.config.coefficients import packaged_coefficients
from streamreid.engine.coefficients import Coefficients
from streamreid.engine.evidence import PairEvidence
from streamreid.engine.settings import EngineSettings
from streamreid.evaluation.crop_cache import cache_folder, embed_crops
from streamreid.evaluation.datasets import load
from streamreid.evaluation.stream import Stage
from streamreid.evaluation.tracklets import Tracklet, tracklets_of
from streamreid.gallery.build import build_scorer
from streamreid.types import TrackKey

_ALL = 1_000_000
_FIELDS = ("max_candidates", "shortlist", "identity_tracks")

Weights = dict[tuple[TrackKey, TrackKey], float | None]


def replay(
    stage: Stage, tracklets: list[Tracklet], fitted: Coefficients, candidates: int
) -> tuple[dict[str, Any], Weights]:
    """One replay with TLift: its figures, and the TLift weight of every pair it compared.

    Args:
        stage: Where to replay.
        tracklets: The stream.
        fitted: What was fitted for the weights.
        candidates: Tracks that each track is compared with; `_ALL` also shortlists everything.
    """
    wishes = dict.fromkeys(_FIELDS, _ALL) if candidates == _ALL else {"max_candidates": candidates}
    weights: Weights = {}

    def witness(pair: PairEvidence) -> None:
        weights[pair.track, pair.other] = pair.terms.weight

    settings = fitted.settings("cooccurrence", lag_s=60.0, false_merge_rate=0.05, **wishes)
    figures = stage.play(tracklets, settings, witness).figures
    found = {
        "candidates": "all" if candidates == _ALL else candidates,
        "pairs": len(weights),
        "pair_f1": figures.clusters.pair_f1,
        "links": figures.links,
        "false_links": figures.false_links,
    }
    return found, weights


def compared(some: Weights, every: Weights, person: dict[TrackKey, int]) -> dict[str, Any]:
    """How far the weights of some pairs are from those with everybody compared."""
    alpha = EngineSettings().time.alpha
    found: dict[str, Any] = {}
    for name, same in (("one_person", True), ("two_people", False)):
        both = [
            (weight, every.get(pair))
            for pair, weight in some.items()
            if (person[pair[0]] == person[pair[1]]) == same
        ]
        known = np.array([pair for pair in both if None not in pair], np.float64).reshape(-1, 2)
        off = np.abs(known[:, 0] - known[:, 1])
        term = np.abs(np.log((known[:, 0] + alpha) / (known[:, 1] + alpha)))
        found[name] = {
            "pairs": len(both),
            "without_weight": sum(weight is None for weight, _ in both),
            "mean_weight": known.mean(axis=0).tolist(),
            "mean_off": float(off.mean()),
            "off_95_percent": float(np.quantile(off, 0.95)),
            "mean_log_ratio_off": float(term.mean()),
            "correlation": float(np.corrcoef(known.T)[0, 1]),
        }
    return found


def main() -> int:
    """Replay with few and with all candidates, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="default")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--query", required=True)
    parser.add_argument("--gallery", required=True)
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--candidates", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--first", type=int, help="only the first tracklets, for a quick look")
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    data = load(
        "folder",
        args.root,
        query=args.query,
        gallery=args.gallery,
        clock=args.clock,
        required=("query", "gallery"),
    )
    tracklets = tracklets_of((*data.query, *data.gallery))
    tracklets = sorted(tracklets, key=lambda one: (one.started_at_s, one.track))[: args.first]
    scorer = build_scorer(args.weights, device="auto", max_crops=8192)
    crops = embed_crops(
        tracklets,
        scorer,
        crops_per_track=EngineSettings().crops_per_track,
        weights_digest=scorer.weights_digest,
        folder=cache_folder(),
    )
    fitted = packaged_coefficients(args.weights)
    stage = Stage(scorer.empty_copy, crops, {})
    person = {one.track: one.person for one in tracklets}
    rows = []
    exact, every = replay(stage, tracklets, fitted, _ALL)
    for candidates in args.candidates:
        row, weights = replay(stage, tracklets, fitted, candidates)
        rows.append(row | compared(weights, every, person))
        print(json.dumps(rows[-1]), flush=True)
    found = {
        "weights": args.weights,
        "weights_digest": scorer.weights_digest,
        "tracklets": len(tracklets),
        "rows": [*rows, exact],
    }
    args.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(exact))
    return 0


if __name__ == "__main__":
    sys.exit(main())
