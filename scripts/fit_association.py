"""Fits what the engine decides by on identities that the weights did not train on.

Every tenth identity of a training split (the ones that `train` holds out) is replayed as a stream,
folded in time so that it is as dense as a busy site; never a test identity.

    python scripts/fit_association.py --weights default --root market1501 --train train.txt \
        --clock clock.csv --out streamreid/reid/data/default.association.json
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamreid.association.constraints import Span
from streamreid.config.coefficients import write_coefficients
from streamreid.engine.coefficients import Coefficients
from streamreid.engine.settings import TimeSettings
from streamreid.evaluation.crop_cache import CropCache, cache_folder, embed_crops
from streamreid.evaluation.datasets import load
from streamreid.evaluation.fit import fit_all
from streamreid.evaluation.replay import chosen_images, entry_keys
from streamreid.evaluation.site import QUANTILE, SiteTrack, stranger_logits, strangers_of
from streamreid.evaluation.stream import Stage, of_ids_every
from streamreid.evaluation.tracklets import Tracklet, folded, tracklets_of
from streamreid.gallery.build import build_scorer
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import GalleryEntry

START = Coefficients(
    max_age_s=1800.0,
    time=TimeSettings(pseudo_match=0.3, prior_support=30.0, smoothing=0.6),
)


def main() -> int:
    """Fit and write one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="default")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--train", required=True, help="list of the training images")
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--every", type=int, default=10, help="distance of held-out identities")
    parser.add_argument("--first", type=int, default=5, help="place of the first of them")
    parser.add_argument("--periods", type=float, nargs="+", default=[1900.0, 2300.0])
    parser.add_argument("--lag", type=float, default=60.0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = load("folder", args.root, train=args.train, clock=args.clock, required=("train",))
    # Training records number people from 0 in order of their ids; 0 would count as a distractor.
    records = [replace(record, identity=record.identity + 1) for record in data.train]
    people = of_ids_every(tracklets_of(records), args.every, args.first)
    scorer = build_scorer(args.weights, device="auto", max_crops=8192)
    crops = embed_crops(
        people,
        scorer,
        crops_per_track=4,
        weights_digest=scorer.weights_digest,
        folder=cache_folder(),
    )
    stage = Stage(scorer.empty_copy, crops, {})
    calibration = scorer.calibration
    start = replace(
        START,
        weights_digest=scorer.weights_digest,
        fitted_on=f"{len(people)} tracklets of every {args.every}th identity of {data.name} train, "
        f"folded to {args.periods} s",
        calibration_slope=calibration.scale if calibration else 1.0,
        calibration_offset=calibration.offset if calibration else 0.0,
    )
    streams = [folded(people, period_s) for period_s in args.periods]
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    fitted = fit_all(streams, stage.play, start, lag_s=args.lag, say=say)
    logits = stranger_logits(scorer, strangers_of(_site(people, scorer, crops)), fitted)
    fitted = replace(fitted, stranger_logit=float(np.quantile(logits, QUANTILE)))
    write_coefficients(args.out, fitted)
    say(f"wrote {args.out}")
    return 0


def _site(
    people: list[Tracklet], scorer: LocalScorer, crops: CropCache
) -> list[tuple[int, SiteTrack]]:
    """Put the people into the scorer as if a site had seen them."""
    keys = entry_keys(people)
    found = []
    for item in people:
        entries = []
        for number in chosen_images(item, 4).tolist():
            key = keys[item.images[number]]
            entry = GalleryEntry(key, item.camera_id, item.track, item.times_s[number])
            scorer.insert([entry], crops(item, number))
            entries.append(key)
        span = Span(item.track, item.camera_id, item.started_at_s, item.ended_at_s)
        found.append((item.person, SiteTrack(span, tuple(entries))))
    return found


if __name__ == "__main__":
    sys.exit(main())
