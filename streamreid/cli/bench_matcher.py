"""How fast pairs are scored, beside the published way and beside the machine's matrix product."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from streamreid.cli.bench_table import Table, Value
from streamreid.cli.bench_timing import Timing, Work, clock_for, take_turns
from streamreid.reid.matching import FeatureMaps, backends, match_scores
from streamreid.reid.matching_blocks import block_kernels
from streamreid.reid.qaconv import FoldedHead, QAConv, fold, pooled_maxima

HEIGHT, WIDTH = 24, 8
LOCATIONS = HEIGHT * WIDTH
_SIDE = 2048
_DTYPES = {
    "torch": torch.float32,
    "onednn": torch.float32,
    "bf16": torch.bfloat16,
    "int8": torch.int8,
}
OFFICIAL = "official einsum fp32"


def random_maps(count: int, channels: int, *, seed: int, device: str = "cpu") -> Tensor:
    """Unit-norm maps of random directions, `[N, C, 24, 8]`."""
    generator = torch.Generator(device=device).manual_seed(seed)
    data = torch.randn(count, channels, HEIGHT, WIDTH, generator=generator, device=device)
    return functional.normalize(data, dim=1)


def official(query: Tensor, gallery: Tensor, head: FoldedHead) -> Tensor:
    """The published way: the whole correlation in memory, then two maxima."""
    return head.apply(*pooled_maxima(query, gallery))


def pair_gflop(channels: int) -> float:
    """Arithmetic of one pair of maps, 10^9 operations."""
    return 2.0 * LOCATIONS * LOCATIONS * channels / 1e9


def matcher_table(
    *,
    channels: Sequence[int] = (128, 512),
    threads: int = 1,
    maps: int = 100,
    rounds: int = 9,
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """Score one query against `maps` gallery maps by every CPU back-end.

    Args:
        channels: Channels of the maps, one block of rows each.
        threads: Threads of torch; the caller has set them.
        maps: Gallery size.
        rounds: Rounds in which all variants take turns.
        progress: Told what is being measured.
    """
    rows: list[dict[str, Value]] = []
    for count in channels:
        progress(f"matching, {count} channels, {threads} threads")
        timings = take_turns(_cpu_variants(count, maps), rounds=rounds, clock=clock_for(threads))
        rows += _rows(timings, count, maps, threads)
    return Table(
        f"One query against {maps} maps of 24x8, {threads} thread{'s' if threads > 1 else ''}",
        rows,
        [
            "`x official` and `% of product` are medians over rounds in which all variants took "
            "turns; the product is a 2048^3 matrix product of the same dtype in the same rounds "
            f"(float32: the fastest of the machine). {'CPU' if threads == 1 else 'Wall'} time.",
            *meaning(rows),
        ],
    )


def blocks_table(
    *,
    channels: Sequence[int] = (128, 512),
    sizes_mib: Sequence[float] = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0),
    maps: int = 100,
    rounds: int = 9,
) -> Table:
    """How large the correlation tile of a block should be: every size by every fast back-end.

    Args:
        channels: Channels of the maps.
        sizes_mib: Sizes to try, MiB.
        maps: Gallery size.
        rounds: Rounds in which all sizes take turns.
    """
    threads = torch.get_num_threads()
    rows: list[dict[str, Value]] = []
    for count in channels:
        for name, kernel in block_kernels(torch.device("cpu")).items():
            if name == "torch":
                continue
            query, gallery = (
                FeatureMaps.pack(random_maps(number, count, seed=number), kernel.map_dtype)
                for number in (1, maps)
            )
            variants: dict[str, Work] = {
                f"{size:g}": partial(
                    replace(kernel, block_bytes=int(size * 2**20)).weighted_sums,
                    query,
                    gallery,
                    torch.ones(2 * LOCATIONS),
                )
                for size in sizes_mib
            }
            timings = take_turns(variants, rounds=rounds, clock=clock_for(threads))
            row: dict[str, Value] = {"C": count, "threads": threads, "back-end": name}
            row["now MiB"] = kernel.block_bytes / 2**20
            rows.append(row | {f"{size} MiB": maps / t.median_s for size, t in timings.items()})
    return Table("Pairs a second by the size of a block's tile", rows)


def meaning(rows: Sequence[dict[str, Value]]) -> list[str]:
    """For each number of channels: what the fastest back-end can do, and what bounds it."""
    notes = []
    for count in dict.fromkeys(row["C"] for row in rows):
        some = [row for row in rows if row["C"] == count]
        best = max(some, key=lambda row: _number(row["pairs/s"]))
        pairs, share = _number(best["pairs/s"]), _number(best["% of product"])
        bound = (
            "arithmetic is the bottleneck"
            if share >= 50
            else "finding the maxima and memory are the bottleneck, not arithmetic"
        )
        notes.append(
            f"C = {count}: this machine scores {pairs:,.0f} pairs a second by {best['back-end']}: "
            f"a shortlist of 100 in {1e5 / pairs:.1f} ms, or every one of {pairs:,.0f} crops once "
            f"a second. A large matrix product of as much arithmetic takes {share:.0f} % of that "
            f"time: {bound}."
        )
    return notes


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _cpu_variants(channels: int, maps: int) -> dict[str, Work]:
    head = fold(QAConv(channels, HEIGHT, WIDTH).eval())
    query = random_maps(1, channels, seed=1)
    gallery = random_maps(maps, channels, seed=2)
    variants: dict[str, Work] = {OFFICIAL: lambda: official(query, gallery, head)}
    for name in backends():
        dtype = _DTYPES[name]
        packed = FeatureMaps.pack(query, dtype), FeatureMaps.pack(gallery, dtype)
        variants[name] = partial(match_scores, *packed, head, backend=name)
        if name != "torch":
            variants[f"product {name}"] = _product(name)
    return variants


def _product(name: str) -> Work:
    """A large square matrix product of a back-end's own kind: what the machine can do."""
    kernel = block_kernels(torch.device("cpu"))[name]
    rows = torch.ones(_SIDE, _SIDE).to(kernel.map_dtype)
    out = torch.empty(_SIDE, _SIDE, dtype=kernel.product_dtype)
    return lambda: kernel.product(rows, rows, out)


def _rows(
    timings: dict[str, Timing], channels: int, maps: int, threads: int
) -> list[dict[str, Value]]:
    rows: list[dict[str, Value]] = []
    work = pair_gflop(channels) * maps
    product_work = 2.0 * _SIDE**3 / 1e9
    for name, timing in timings.items():
        if name.startswith("product "):
            continue
        product = timings.get(f"product {name}") or timings.get("product onednn")
        share = None
        if product is not None:
            share = timing.times_faster_than(product) * work / product_work * 100
        rows.append(
            {
                "C": channels,
                "threads": threads,
                "back-end": name,
                "pairs/s": maps / timing.median_s,
                "best pairs/s": maps / timing.best_s,
                "GFLOP/s": work / timing.median_s,
                "x official": timing.times_faster_than(timings[OFFICIAL]),
                "% of product": share,
            }
        )
    return rows
