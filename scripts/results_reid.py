#!/usr/bin/env python3
r"""Make docs/results/reid.md: every method on the same images in one table.

Each row is evaluated once on each test set and kept in docs/results/reid.json; a row is evaluated
again only when its weights change or when it is named with --again. Nothing is chosen here:
weights, calibrations and TLift's parameters come from training identities.

Example: scripts/results_reid.py --market Market-1501 --splits market1501_splits \
    --cuhk03 cuhk03_p1 --onnx osnet_x0_25_msmt17.onnx --weights imagenet qaconv-market default
"""

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamreid.evaluation.datasets import Dataset, ImageRecord, load
from streamreid.evaluation.embedding import (
    EmbedVectors,
    OnnxEmbedding,
    cosines,
    embed_records,
    fit_probability,
    unit_vectors,
)
from streamreid.evaluation.reid import Matcher, evaluate_reid, probability_map, stage_figures
from streamreid.evaluation.stages import (
    LIFT_OF_PLAIN_SCORES,
    LIFT_OF_RERANKED_SCORES,
    PUBLISHED_LIFT,
    Scores,
    evaluate_stages,
)
from streamreid.reid.extract import FeatureExtractor, choose_runner
from streamreid.reid.preprocess import prepare
from streamreid.reid.qaconv import fold
from streamreid.reid.weights import ReidModel, load_model
from streamreid.training.embedding_trainer import embed
from streamreid.types import Float32Array, UInt8Array

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
# Every tenth training identity is held out for validation (docs/results/training.md).
HELD_OUT_EVERY, HELD_OUT_FIRST = 10, 5
CHOSEN = {"plain": "plain", "tlift": "TLift", "rerank": "RR", "rerank_tlift": "RR + TLift"}
PUBLISHED = {"tlift_published": "TLift", "rerank_tlift_published": "RR + TLift"}


@dataclass(frozen=True, slots=True)
class Sets:
    """The test sets and the pairs that calibrations of cosines are fitted on."""

    market: Dataset
    cuhk03: Dataset
    validation: Dataset


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--market", type=Path, required=True, help="folder of Market-1501")
    parser.add_argument("--splits", type=Path, required=True, help="query, gallery, train, clock")
    parser.add_argument("--cuhk03", type=Path, required=True, help="folder of CUHK03 pair 1")
    parser.add_argument("--onnx", type=Path, help="OSNet x0.25 trained on MSMT17")
    parser.add_argument("--weights", nargs="*", default=[], help="names or .safetensors files")
    parser.add_argument("--pooled", nargs="*", default=[], help="compare their pooled vectors")
    parser.add_argument("--embedding", nargs="*", default=[], help="networks trained on vectors")
    parser.add_argument("--again", nargs="*", default=[], help="rows to evaluate again")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of reid.md and reid.json")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def load_sets(args: argparse.Namespace) -> Sets:
    """Find the images; the validation identities are a part of the training list."""
    clock = args.splits / "clock.csv"
    market = load(
        "market1501",
        args.market,
        query=str(args.splits / "query.txt"),
        gallery=str(args.splits / "gallery.txt"),
        clock=clock,
        required=(),
    )
    train = load(
        "market1501",
        args.market,
        train=str(args.splits / "train.txt"),
        clock=clock,
        required=("train",),
    )
    return Sets(
        market=replace(market, name="Market held-out"),
        cuhk03=replace(load("folder", args.cuhk03), name="CUHK03 P1"),
        validation=hold_out(train),
    )


def hold_out(train: Dataset) -> Dataset:
    """First image of each validation identity and camera as query, the others as gallery."""
    numbers = sorted({record.identity for record in train.train})[HELD_OUT_FIRST::HELD_OUT_EVERY]
    chosen = set(numbers)
    split: dict[str, list[ImageRecord]] = {"query": [], "gallery": []}
    seen: set[tuple[int, int]] = set()
    for record in train.train:
        if record.identity in chosen:
            key = (record.identity, record.camera)
            split["gallery" if key in seen else "query"].append(record)
            seen.add(key)
    return Dataset("validation", (), tuple(split["query"]), tuple(split["gallery"]), train.clock)


def evaluate_weights(model: ReidModel, data: Dataset) -> dict[str, Any]:
    """All figures of QAConv scores on one test set."""
    choice = choose_runner(model.network, size=model.input_size, device=torch.device("cpu"))
    matcher = Matcher(
        model.name,
        model.digest,
        FeatureExtractor(choice.runner, model.input_size),
        fold(model.head),
        model.calibration,
    )
    found = evaluate_reid(data, matcher, rerank=True)
    if found.broken:
        raise SystemExit(f"broken images: {[str(item.path) for item in found.broken]}")
    figures = all_figures(found.scores, data, probability_map(model.calibration))
    if model.calibration.fitted_on == "not fitted":  # then there are no probabilities to lift
        figures = {name: value for name, value in figures.items() if not name.startswith("tlift")}
    seconds = {name: round(found.seconds[name], 1) for name in ("features", "scores")}
    return {"figures": figures, "seconds": seconds, "features_by": choice.runner.name}


def evaluate_cosine(embed: EmbedVectors, validation: Dataset, data: Dataset) -> dict[str, Any]:
    """All figures of cosines; their logistic map is fitted on validation identities."""
    fitted = [embed_records(records, embed) for records in (validation.query, validation.gallery)]
    probability = fit_probability(
        cosines(fitted[0], fitted[1]).across, validation.query, validation.gallery
    )
    begun_s = time.perf_counter()
    query, gallery = (embed_records(records, embed) for records in (data.query, data.gallery))
    seconds = {"features": round(time.perf_counter() - begun_s, 1)}
    figures = all_figures(cosines(query, gallery), data, probability)
    return {"figures": figures, "seconds": seconds}


def all_figures(
    scores: Scores, data: Dataset, probability: Callable[[Float32Array], Float32Array]
) -> dict[str, Any]:
    """Figures of every stage, with TLift's parameters as chosen and as published."""
    timed = data.query[0].time_s is not None
    figures: dict[str, Any] = {}
    for suffix, plain_lift, reranked_lift in (
        ("", LIFT_OF_PLAIN_SCORES, LIFT_OF_RERANKED_SCORES),
        ("_published", PUBLISHED_LIFT, PUBLISHED_LIFT),
    ):
        stages = evaluate_stages(
            scores,
            data.query,
            data.gallery,
            probability=probability,
            rerank=True,
            lift=timed,
            plain_lift=plain_lift,
            reranked_lift=reranked_lift,
        )
        for name, stage in stages.items():
            if not suffix or "tlift" in name:
                figures[name + suffix] = stage_figures(stage)
        figures["queries"] = stages["plain"].ranking.valid_queries
        if not timed:
            break
    return figures


def pooled_embedding(model: ReidModel) -> EmbedVectors:
    """Vectors of a model: the mean over all places of its maps."""

    def embed(crops: Sequence[UInt8Array]) -> Float32Array:
        return unit_vectors(model.maps(crops).mean(dim=(2, 3)).numpy())

    return embed


def trained_embedding(model: ReidModel) -> EmbedVectors:
    """Vectors of a network that was trained on them (streamreid.training.embedding_trainer)."""

    def vectors(crops: Sequence[UInt8Array]) -> Float32Array:
        return np.asarray(embed(model.network, prepare(crops, model.input_size)), np.float32)

    return vectors


def update_rows(args: argparse.Namespace, rows: dict[str, Any]) -> None:
    """Evaluate the rows that are new, changed or asked for again."""
    sets = load_sets(args)
    if args.onnx is not None:
        digest = hashlib.sha256(args.onnx.read_bytes()).hexdigest()
        osnet = OnnxEmbedding(args.onnx, threads=args.threads)
        by_osnet = partial(evaluate_cosine, osnet, sets.validation)
        refresh(rows, "OSNet x0.25 (MSMT17), cosine", digest, args.again, sets, by_osnet)
    for source in args.weights:
        model = load_model(source)
        by_model = partial(evaluate_weights, model)
        refresh(rows, model.name, model.digest, args.again, sets, by_model)
    for source in args.pooled:
        model = load_model(source)
        name = f"{model.name}, pooled vectors, cosine"
        by_vectors = partial(evaluate_cosine, pooled_embedding(model), sets.validation)
        refresh(rows, name, model.digest, args.again, sets, by_vectors)
    for source in args.embedding:
        model = load_model(source)
        by_vectors = partial(evaluate_cosine, trained_embedding(model), sets.validation)
        refresh(rows, model.name, model.digest, args.again, sets, by_vectors)


def refresh(
    rows: dict[str, Any],
    name: str,
    digest: str,
    again: Sequence[str],
    sets: Sets,
    evaluate: Callable[[Dataset], dict[str, Any]],
) -> None:
    """Evaluate one row on every test set, unless it stands there already."""
    known = rows.get(name)
    if known is not None and known["sha256"] == digest and name not in again:
        print(f"{name}: unchanged", flush=True)
        return
    results = {}
    for key, data in (("market", sets.market), ("cuhk03", sets.cuhk03)):
        results[key] = evaluate(data)
        plain = results[key]["figures"]["plain"]
        print(
            f"{name} on {data.name}: {100 * plain['rank1']:.1f}/{100 * plain['mAP']:.1f}",
            flush=True,
        )
    rows[name] = {"sha256": digest, **results}


def main() -> None:
    """Evaluate what is missing and write the page."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    store = args.out / "reid.json"
    rows = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    update_rows(args, rows)
    store.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (args.out / "reid.md").write_text(page(rows, args.out), encoding="utf-8")


def page(rows: dict[str, Any], out: Path) -> str:
    """The page as Markdown; `out` may hold the output of scripts/bench_eval_reid.py."""
    first = next(iter(rows.values()))
    counts = {key: first[key]["figures"]["queries"] for key in ("market", "cuhk03")}
    return TEMPLATE.format(
        market=table(rows, "market", CHOSEN, "clock.csv"),
        published=table(rows, "market", PUBLISHED, "clock.csv"),
        cuhk03=table(rows, "cuhk03", {k: CHOSEN[k] for k in ("plain", "rerank")}, "none"),
        seconds=seconds_table(rows),
        speed=speed(out / "bench_eval_reid.json"),
        targets=targets(rows),
        missing=missing(rows),
        market_queries=counts["market"],
        cuhk03_queries=counts["cuhk03"],
        plain_lift=describe(LIFT_OF_PLAIN_SCORES),
        reranked_lift=describe(LIFT_OF_RERANKED_SCORES),
        machine=f"{platform.machine()}, torch {torch.__version__}",
    )


def describe(settings: Any) -> str:
    """TLift's parameters in words."""
    return (
        f"tau {settings.tau_s:.0f} s, sigma {settings.sigma_s:.0f} s, K {settings.pivots}, "
        f"alpha {settings.alpha}"
    )


def table(rows: dict[str, Any], key: str, stages: dict[str, str], clock: str) -> str:
    """Rank-1 / mAP of every row and stage."""
    lines = [
        "| method | " + " | ".join(stages.values()) + " | clock |",
        "| --- |" + " ---: |" * len(stages) + " --- |",
    ]
    for name, row in rows.items():
        cells = [cell(row[key]["figures"].get(stage)) for stage in stages]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {clock} |")
    return "\n".join(lines)


def cell(figures: dict[str, float] | None) -> str:
    """Rank-1 / mAP in per cent."""
    return "-" if figures is None else f"{100 * figures['rank1']:.1f} / {100 * figures['mAP']:.1f}"


def seconds_table(rows: dict[str, Any]) -> str:
    """Wall time of features and scores on Market held-out."""
    lines = ["| method | features s | all pairs s | features by |", "| --- | ---: | ---: | --- |"]
    for name, row in rows.items():
        seconds = row["market"]["seconds"]
        how = row["market"].get("features_by", "onnxruntime or torch")
        lines.append(f"| {name} | {seconds['features']} | {seconds.get('scores', '-')} | {how} |")
    return "\n".join(lines)


def speed(path: Path) -> str:
    """What scripts/bench_eval_reid.py found."""
    if not path.exists():
        return "Not measured; see `scripts/bench_eval_reid.py`."
    found = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "Against the reference way (torch and einsum in float32) in one run of "
        f"`scripts/bench_eval_reid.py` on {found['threads']} thread: features and the "
        f"{found['pairs']:,} scores of the plain test take",
        "",
        "| clock | reference s | eval reid s | times faster |",
        "| --- | ---: | ---: | ---: |",
    ]
    for clock in ("wall", "cpu"):
        whole = found[clock]["whole_set_s"]
        faster = found[clock]["times_faster"]
        lines.append(f"| {clock} | {whole['reference']} | {whole['eval reid']} | {faster} |")
    difference = found["largest_score_difference"]
    lines += ["", f"The largest difference of a score (int8 against float32) was {difference:.3f}."]
    return "\n".join(lines)


def missing(rows: dict[str, Any]) -> str:
    """Rows that belong into the tables and are not there yet."""
    wanted = {
        "`qaconv-market`": "qaconv-market" in rows,
        "an embedding trained on the same data": any("embedding" in name for name in rows),
    }
    absent = [name for name, there in wanted.items() if not there]
    return f"Not in the tables yet: {', '.join(absent)}." if absent else ""


def targets(rows: dict[str, Any]) -> str:
    """The project's targets and what was reached."""
    wanted = (
        ("qaconv-market", "market", "plain", 85.0, 75.0),
        ("qaconv-market", "market", "rerank_tlift", 95.0, 90.0),
        ("qaconv-market", "cuhk03", "plain", 33.7, 33.6),
        ("default", "market", "plain", 85.0, 75.0),
        ("default", "cuhk03", "plain", 60.0, 60.0),
    )
    titles = {"market": "Market held-out", "cuhk03": "CUHK03 P1"}
    lines = [
        "| weights | test | stage | target | found | reached |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    for name, key, stage, rank1, mean_ap in wanted:
        if name not in rows:
            continue
        figures = rows[name][key]["figures"][stage]
        reached = 100 * figures["rank1"] >= rank1 and 100 * figures["mAP"] >= mean_ap
        lines.append(
            f"| {name} | {titles[key]} | {CHOSEN[stage]} | {rank1} / {mean_ap} | {cell(figures)} | "
            f"{'yes' if reached else '**no**'} |"
        )
    return "\n".join(lines + ahead(rows))


def ahead(rows: dict[str, Any]) -> list[str]:
    """How far maps are ahead of vectors that the same network learned from the same data."""
    found = []
    for name in (name for name in rows if "embedding" in name and "qaconv-market" in rows):
        one, other = (
            100 * rows[which]["cuhk03"]["figures"]["plain"]["mAP"]
            for which in ("qaconv-market", name)
        )
        reached = "" if one - other >= 5 else "**not** "
        found.append(
            f"\nAcross data sets (CUHK03 P1, plain mAP) `qaconv-market` is {one - other:+.1f} "
            f"points from `{name}`, which has the same network, start, data and number of "
            "batches, and learns one vector per image with triplets; the target is +5: "
            f"{reached}reached."
        )
    return found


TEMPLATE = """# Re-identification accuracy

Made by `scripts/results_reid.py`; figures also in `reid.json`. Rank-1 / mAP in per cent.
Gallery images of the query's identity in the query's own camera are left out. Each row was
evaluated once on each test set, when its weights were ready; weights, calibrations and TLift's
parameters were chosen on training identities only. {missing}

## Market-1501, held-out identities

The official query and gallery images are not used: these are the last 251 identities of the
official *training* set ({market_queries} counted queries, 2,648 gallery images; figures are not
comparable with published ones). Times come from `clock.csv`, which puts each camera's sequences
on one clock by offsets fitted on the first 500 identities. TLift alone works on calibrated
probabilities ({plain_lift}), after re-ranking on 1 - distance
({reranked_lift}); why these: [tlift.md](tlift.md). The ImageNet start has no
calibration, hence no TLift alone.

{market}

With the published parameters of TLift (tau 100 s, sigma 200 s, K 10, alpha 0.2):

{published}

## CUHK03, camera pair 1

Labelled boxes, 100 test identities ({cuhk03_queries} counted queries, 738 gallery images); not
the CUHK03-NP protocol. The names carry no time, so there is no TLift here.

{cuhk03}

## Targets

The cross-data-set target of `qaconv-market` on CUHK03 P1 is the OSNet baseline.

{targets}

## Time

Market held-out, 3,763 images; with re-ranking all pairs of both sides are scored too. The machine
was busy with other work, so these are upper bounds. {machine}.

{seconds}

{speed}

"""


if __name__ == "__main__":
    main()
