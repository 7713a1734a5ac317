"""What fewer bits, the shortlist and several crops per track change on real people.

Example: python -m scripts.results_matcher --market market1501 --splits market1501_splits \
    --cuhk03 cuhk03_p1 --threads 2 --out docs/results/bench --page docs/results/matcher.md

`--market` holds the images anywhere below it; `--splits` holds train.txt, query.txt, gallery.txt.
Identities of query.txt and gallery.txt were never trained on; every tenth one of train.txt was held
out of training and serves for choices. `--cuhk03` holds bounding_box_train, bounding_box_test and
query; it makes the galleries of the recall curve larger.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

from scripts.write_matcher_page import fill
from streamreid.cli.bench_table import Report, Table, Value
from streamreid.evaluation.ranking import evaluate_ranking
from streamreid.gallery.calibration import conformal_size, miss_rate_bound
from streamreid.gallery.shortlist import pooled_vectors
from streamreid.reid.extract import FeatureExtractor, choose_runner
from streamreid.reid.matching import FeatureMaps, match_maxima, match_scores
from streamreid.reid.multishot import MultiShot, track_scores
from streamreid.reid.qaconv import FoldedHead, fold
from streamreid.reid.weights import load_model

_MARKET = re.compile(r"(\d{4})_c(\d)s(\d)_\d{6}_\d{2}")
_CUHK03 = re.compile(r"(\d{4})_c(\d)_\d{2}")
# Identities and cameras of CUHK03 count on from here, those of Market-1501 are below.
_CUHK03_FIRST = 10_000
_CUTS = (1, 2, 5, 10, 20, 50, 100, 200, 400, 800)
_GALLERIES = (1_000, 2_000, 5_000, 10_000, 20_000)
_STRIPS = (1, 4, 6)
_CUHK03_TRAIN = ("cuhk03 train", ("bounding_box_train",))
PARTS = ("tracks", "precision", "exit", "shortlist")


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Crops with their maps, shortlist vectors by number of strips, and who, where and which track.

    `track` numbers person, camera and sequence together.
    """

    maps: FeatureMaps
    vectors: dict[int, Tensor]
    person: np.ndarray
    camera: np.ndarray
    track: np.ndarray

    def select(self, rows: np.ndarray) -> "People":
        """Some of the crops."""
        index = torch.from_numpy(rows)
        return People(
            self.maps.select(index),
            {strips: vectors[index] for strips, vectors in self.vectors.items()},
            self.person[rows],
            self.camera[rows],
            self.track[rows],
        )


def load_people(
    files: dict[str, Path], names: Sequence[str], extractor: FeatureExtractor
) -> People:
    """Extract features of the named images."""
    parts: list[FeatureMaps] = []
    vectors: dict[int, list[Tensor]] = {strips: [] for strips in _STRIPS}
    for start in range(0, len(names), 64):
        crops = [
            np.asarray(Image.open(files[name]).convert("RGB")) for name in names[start : start + 64]
        ]
        maps = extractor(crops)
        parts.append(FeatureMaps.pack(maps, torch.float16))
        for strips, some in vectors.items():
            some.append(pooled_vectors(maps, strips))
    keys = [_parse(name) for name in names]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    packed = FeatureMaps(torch.cat([part.data for part in parts]), parts[0].height, parts[0].width)
    return People(
        packed,
        {strips: torch.cat(some) for strips, some in vectors.items()},
        np.array([key[0] for key in keys]),
        np.array([key[1] for key in keys]),
        np.array([numbers[key] for key in keys]),
    )


def precision_table(query: People, gallery: People, head: FoldedHead) -> Table:
    """Scores in fewer bits against float32, on identities that were never trained on."""
    rows: list[dict[str, Value]] = []
    exact = np.zeros((0, 0))
    stored = {"onednn": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
    for backend, dtype in stored.items():
        scores = match_scores(
            query.maps.to_dtype(dtype), gallery.maps.to_dtype(dtype), head, backend=backend
        ).numpy()
        if backend == "onednn":
            exact = scores
        ranking = evaluate_ranking(
            -scores, query.person, gallery.person, query.camera, gallery.camera
        )
        correlation = [spearmanr(a, b).statistic for a, b in zip(scores, exact, strict=True)]
        rows.append(
            {
                "back-end": backend,
                "largest error / sd": float(np.abs(scores - exact).max() / exact.std()),
                "Spearman, mean": f"{np.mean(correlation):.6f}",
                "Spearman, worst query": f"{np.min(correlation):.6f}",
                "same best": f"{np.mean(scores.argmax(1) == exact.argmax(1)):.4f}",
                "Rank-1 %": f"{100 * float(ranking.cmc[0]):.2f}",
                "mAP %": f"{100 * ranking.mean_ap:.2f}",
            }
        )
    return Table(f"Fewer bits: {len(query.maps):,} queries x {len(gallery.maps):,} images", rows)


def shortlist_tables(
    people: People, unseen: np.ndarray, head: FoldedHead, count: int
) -> list[Table]:
    """Where the exactly best entry stands in the order of the shortlist; one query per track.

    Args:
        people: All crops there are.
        unseen: Rows of the people that no training has seen; queries come from them, and they fill
            the galleries first.
        head: The folded head.
        count: Most queries.
    """
    draw = np.random.default_rng(0)
    first = np.unique(people.track[unseen], return_index=True)[1]
    chosen = draw.permutation(unseen[first])[:count]
    seen = np.setdiff1d(np.arange(len(people.maps)), unseen)
    order = np.concatenate((draw.permutation(unseen), draw.permutation(seen)))
    maps = people.maps.to_dtype(torch.int8)
    scores = match_scores(maps.select(torch.from_numpy(chosen)), maps, head).numpy()
    own = people.track[chosen][:, None] == people.track[None]
    scores[own] = -np.inf
    sizes = sorted({size for size in (*_GALLERIES, len(unseen), len(order)) if size <= len(order)})

    def row(size: int, strips: int) -> dict[str, Value]:
        some = order[:size]
        vectors = people.vectors[strips]
        similarity = (vectors[chosen] @ vectors[some].T).numpy()
        similarity[own[:, some]] = -np.inf
        start: dict[str, Value] = {"gallery": size, "strips": strips}
        return start | _recall(scores[:, some], similarity)

    notes = [
        f"{len(chosen):,} queries, one per track, of people that no training has seen; the query's "
        f"own track is left out. The first {len(unseen):,} crops of the galleries are of such "
        "people too, the rest are of people that the network was trained on."
    ]
    return [
        Table(
            "Recall of the exactly best entry by gallery size", [row(n, 4) for n in sizes], notes
        ),
        Table(
            "Recall of the exactly best entry by number of strips",
            [row(len(unseen), strips) for strips in _STRIPS],
            notes,
        ),
    ]


def _recall(scores: np.ndarray, similarity: np.ndarray) -> dict[str, Value]:
    """Shares of the queries whose best entry, or best ten, stand within K; sizes for a loss."""
    best = scores.argmax(axis=1)
    rank = 1 + (similarity > similarity[np.arange(len(best)), best][:, None]).sum(axis=1)
    in_top = scores >= np.sort(scores, axis=1)[:, -10][:, None]
    place = np.argsort(np.argsort(-similarity, axis=1), axis=1) + 1
    all_ten = np.where(in_top, place, 0).max(axis=1)
    row: dict[str, Value] = {f"K={cut}": f"{np.mean(rank <= cut):.4f}" for cut in _CUTS}
    row["all of top 10, K=100"] = f"{np.mean(all_ten <= 100):.4f}"
    for allowed in (0.01, 0.003):
        row[f"K for {100 * allowed:g} % loss"] = conformal_size(rank.tolist(), allowed)
    misses = int((rank > 100).sum())
    row["95 % bound at K=100"] = f"{miss_rate_bound(misses, len(rank)):.4f}"
    return row


def multishot_table(people: People, head: FoldedHead, per_track: int) -> Table:
    """Track against track by every rule, on identities held out of training."""
    tracks, start = np.unique(people.track, return_index=True)
    groups = [np.flatnonzero(people.track == track) for track in tracks]
    groups = [
        rows[
            np.unique(np.linspace(0, len(rows) - 1, min(per_track, len(rows))).round().astype(int))
        ]
        for rows in groups
    ]
    maps = people.maps.to_dtype(torch.int8)
    person, camera = people.person[start], people.camera[start]
    same, apart = person[:, None] == person[None], camera[:, None] != camera[None]
    rows: list[dict[str, Value]] = []
    cases: list[tuple[str, MultiShot, int]] = [
        ("one crop each", "mean", 1),
        ("mean of all pairs", "mean", per_track),
        ("best partner (max)", "max", per_track),
    ]
    for name, rule, count in cases:
        members = [rows[:count] for rows in groups]
        gallery = maps.select(torch.from_numpy(np.concatenate(members)))
        sizes = [len(some) for some in members]
        scores = np.stack(
            [
                track_scores(
                    maps.select(torch.from_numpy(some)),
                    sizes,
                    lambda a, b, gallery=gallery: gallery.select(slice(a, b)),  # type: ignore[misc]
                    head,
                    rule=rule,
                ).numpy()
                for some in members
            ]
        )
        ranking = evaluate_ranking(-scores, person, person, camera, camera)
        positive, negative = scores[same & apart], scores[~same]
        rows.append(
            {
                "rule": name,
                "Rank-1 %": f"{100 * float(ranking.cmc[0]):.2f}",
                "mAP %": f"{100 * ranking.mean_ap:.2f}",
                "found at 0.1 % false %": f"{100 * _found(positive, negative, 1e-3):.1f}",
                "found at 0.01 % false %": f"{100 * _found(positive, negative, 1e-4):.1f}",
                "mean of different people": float(negative.mean()),
            }
        )
    return Table(
        f"Several crops per track: {len(tracks)} tracks, up to {per_track} crops each", rows
    )


def early_exit_table(query: People, gallery: People, head: FoldedHead, k: int) -> Table:
    """Share of the pairs that an exact bound excludes after some of the query's locations."""
    rows: list[dict[str, Value]] = []
    weight = head.query_weight
    some = query.maps.select(slice(0, 50)).to_float32()
    of_query, of_gallery = match_maxima(some, gallery.maps.select(slice(0, 1000)).to_float32())
    scores = head.apply(of_query, of_gallery)
    threshold = scores.topk(k, dim=1).values[:, -1:]
    order = weight.abs().argsort(descending=True)
    for share in (0.25, 0.5, 0.75, 1.0):
        used = order[: round(share * len(order))]
        rest = float(weight.abs().sum() - weight[used].abs().sum())
        known = of_query[:, :, used] @ weight[used]
        bound = known + rest + float(head.gallery_weight.abs().sum()) + head.offset
        excluded = float((bound < threshold).float().mean())
        rows.append({"query locations used": f"{share:.0%}", "pairs excluded": f"{excluded:.2%}"})
    return Table(f"Exact early exit, best {k} of 1,000, 50 queries", rows)


def _found(positive: np.ndarray, negative: np.ndarray, false_rate: float) -> float:
    return float(np.mean(positive > np.quantile(negative, 1 - false_rate)))


def _parse(name: str) -> tuple[int, int, int]:
    """Person, camera and sequence; CUHK03 has no sequences."""
    found = _MARKET.match(name)
    if found is not None:
        return int(found[1]), int(found[2]), int(found[3])
    found = _CUHK03.match(name)
    if found is None:
        raise SystemExit(f"{name} is not named like an image of Market-1501 or CUHK03")
    return _CUHK03_FIRST + int(found[1]), _CUHK03_FIRST + int(found[2]), 0


def main() -> None:
    """Measure everything and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--cuhk03", type=Path)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--queries", type=int, default=1000, help="queries of the recall curves")
    parser.add_argument("--compared", type=int, default=1115, help="queries of the precision table")
    parser.add_argument(
        "--seen", type=int, help="most crops of people that training has seen; default: all"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="page whose tables and pictures are renewed")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.weights)
    head = fold(model.head).to(dtype=torch.float32)
    runner = choose_runner(
        model.network, size=model.input_size, device=torch.device("cpu"), threads=arguments.threads
    ).runner
    extractor = FeatureExtractor(runner, model.input_size)
    files = {path.name: path for path in arguments.market.rglob("*.jpg")}
    names = {
        split: (arguments.splits / f"{split}.txt").read_text("utf-8").split()
        for split in ("train", "query", "gallery")
    }
    if arguments.cuhk03 is not None:
        for split, folders in (("cuhk03 test", ("query", "bounding_box_test")), _CUHK03_TRAIN):
            found = [path for name in folders for path in (arguments.cuhk03 / name).glob("*.jpg")]
            files |= {path.name: path for path in found}
            names[split] = sorted(path.name for path in found)
    for split in ("train", _CUHK03_TRAIN[0]):
        names[split] = names.get(split, [])[: arguments.seen]
    everyone = load_people(files, [name for some in names.values() for name in some], extractor)
    note = f"Weights {model.name!r}, sha256 {model.digest[:12]}; features by {runner.name}."
    for part in arguments.parts:
        tables = _measure(part, everyone, head, arguments, [len(some) for some in names.values()])
        tables = [Table(table.title, table.rows, [*table.notes, note]) for table in tables]
        print(*Report(f"matcher_{part}", tables).write(arguments.out), flush=True)
    if arguments.page is not None:
        print("renewed:", *fill(arguments.page, arguments.out))


def _measure(
    part: str, everyone: People, head: FoldedHead, arguments: argparse.Namespace, sizes: list[int]
) -> list[Table]:
    train, query, gallery = sizes[:3]
    if part == "tracks":
        seen = everyone.select(np.arange(train))
        held = np.unique(seen.person)[5::10]
        return [multishot_table(seen.select(np.flatnonzero(np.isin(seen.person, held))), head, 4)]
    if part == "shortlist":
        unseen = np.arange(train, sum(sizes[:-1]))
        return shortlist_tables(everyone, unseen, head, arguments.queries)
    queries = everyone.select(np.arange(train, train + query))
    images = everyone.select(np.arange(train + query, train + query + gallery))
    if part == "precision":
        chosen = np.linspace(0, query - 1, min(arguments.compared, query)).astype(int)
        return [precision_table(queries.select(chosen), images, head)]
    return [early_exit_table(queries, images, head, 100)]


if __name__ == "__main__":
    main()
