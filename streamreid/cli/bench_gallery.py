"""How long a query takes in a full gallery, and whether a day of rolling changes anything."""

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from streamreid.cli.bench_table import Table, Value
from streamreid.cli.bench_timing import clock_for
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.ring import MapLayout, Ring
from streamreid.gallery.scorer import GalleryEntry
from streamreid.gallery.shortlist import STRIPS, search
from streamreid.reid.extract import FeatureExtractor
from streamreid.reid.matching import FeatureMaps
from streamreid.reid.memory import free_bytes
from streamreid.reid.qaconv import QAConv, fold
from streamreid.reid.runners import TorchRunner
from streamreid.types import CameraId, CropKey, TrackKey

HEIGHT, WIDTH, CHANNELS = 24, 8, 128
_CAMERAS = tuple(CameraId(f"camera{number}") for number in range(8))
_BATCH = 1_000


def filled_scorer(
    entries: int,
    *,
    capacity: int | None = None,
    map_dtype: torch.dtype = torch.int8,
    device: str = "cpu",
    audited_share: float = 0.0,
) -> LocalScorer:
    """A scorer with random maps and vectors: timings do not depend on what is in them."""
    layout = MapLayout(
        HEIGHT, WIDTH, CHANNELS, map_dtype, STRIPS * CHANNELS, vector_dtype=torch.bfloat16
    )
    scorer = LocalScorer(
        FeatureExtractor(
            TorchRunner(torch.nn.Identity(), device=torch.device("cpu"), dtype=torch.float32),
            (HEIGHT * 16, WIDTH * 16),
        ),
        fold(QAConv(CHANNELS, HEIGHT, WIDTH)).to(device=device, dtype=torch.float32),
        Ring(layout, capacity or entries, device),
        audited_share=audited_share,
    )
    generator = torch.Generator().manual_seed(0)
    for start in range(0, entries, _BATCH):
        count = min(_BATCH, entries - start)
        insert_random(scorer, start, count, at_s=float(start), generator=generator)
    return scorer


def insert_random(
    scorer: LocalScorer, first: int, count: int, *, at_s: float, generator: torch.Generator
) -> None:
    """Insert `count` entries numbered from `first`, three to a track, a second apart by twenty."""
    layout = scorer.ring.layout
    data = torch.randn(count, layout.locations, layout.channels, generator=generator)
    maps = FeatureMaps(functional.normalize(data, dim=2), layout.height, layout.width)
    vectors = functional.normalize(
        torch.randn(count, layout.vector_size, generator=generator), dim=1
    )
    scorer.ring.insert(entries_of(first, count, at_s), maps.to_dtype(layout.map_dtype), vectors)


def entries_of(first: int, count: int, at_s: float) -> list[GalleryEntry]:
    """Entries numbered from `first`; all at one time, three to a track."""
    return [
        GalleryEntry(
            CropKey(number), _CAMERAS[number // 3 % 8], TrackKey(number // 3), captured_at_s=at_s
        )
        for number in range(first, first + count)
    ]


def query_times_ms(scorer: LocalScorer, k: int, queries: int) -> np.ndarray:
    """Milliseconds of shortlist, exact scoring and both, shape `(queries, 3)`; K groups of one.

    CPU time with one thread, wall time with more.
    """
    live = scorer.ring.entry_id[scorer.ring.live]
    chosen = np.random.default_rng(1).choice(live, queries + 5)
    clock = clock_for(torch.get_num_threads(), scorer.ring.device)
    taken = []
    for number in chosen:
        query = [CropKey(int(number))]
        started = clock()
        found = scorer.candidates(query, k)
        between = clock()
        scorer.score(query, [[CropKey(int(entry))] for entry in found.entry_ids])
        stopped = clock()
        taken.append((between - started, stopped - between, stopped - started))
    return np.asarray(taken[5:]) * 1e3


def latency_table(
    *,
    sizes: Sequence[int] = (1_000, 20_000),
    k: int = 100,
    queries: int = 300,
    device: str = "cpu",
    map_dtype: torch.dtype = torch.int8,
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """One query at a time: shortlist of K, then exact scores of the K."""
    rows: list[dict[str, Value]] = []
    for size in sizes:
        progress(f"queries against {size:,} crops")
        scorer = filled_scorer(size, map_dtype=map_dtype, device=device)
        times = query_times_ms(scorer, k, queries)
        shortlist, exact, both = np.percentile(times, 50, axis=0)
        rows.append(
            {
                "gallery": size,
                "K": k,
                "shortlist p50 ms": float(shortlist),
                "exact p50 ms": float(exact),
                "both p50 ms": float(both),
                "both p99 ms": float(np.percentile(times[:, 2], 99)),
                "MiB": scorer.ring.capacity * scorer.ring.layout.bytes_per_crop / 2**20,
            }
        )
    kind = str(map_dtype).removeprefix("torch.")
    return Table(
        f"Latency of one query, C = {CHANNELS}, 24x8, {kind} maps on {device}, {_time_of(device)}",
        rows,
        [_meaning(rows[-1], scorer)] if rows else [],
    )


def _meaning(row: dict[str, Value], scorer: LocalScorer) -> str:
    """What the largest measured gallery allows, what bounds it, and how much would fit."""
    shortlist, exact, both = (
        float(str(row[f"{part} p50 ms"])) for part in ("shortlist", "exact", "both")
    )
    bound = "the shortlist" if shortlist > exact else "exact scoring"
    return (
        f"Over {row['gallery']:,} crops this machine answers {1e3 / both:,.0f} queries a second "
        f"one at a time: as many people if each is looked up once a second. The bottleneck is "
        f"{bound} ({max(shortlist, exact):.1f} of {both:.1f} ms)."
        f"{room_for_crops(free_bytes(scorer.ring.device), scorer.ring.layout.bytes_per_crop)}"
    )


def room_for_crops(free: int | None, bytes_per_crop: int) -> str:
    """How many more crops fit into free memory, as a sentence; empty where nobody knows."""
    if free is None:
        return ""
    return (
        f" Memory for about {free // bytes_per_crop:,} more crops of {bytes_per_crop:,} bytes is "
        "free."
    )


def shortlist_table(
    *,
    sizes: Sequence[int] = (20_000, 100_000, 1_000_000),
    k: int = 100,
    queries: int = 50,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """The shortlist alone, over random vectors; a timing, no claim about recall."""
    rows: list[dict[str, Value]] = []
    for size in sizes:
        progress(f"shortlist over {size:,} vectors")
        width = STRIPS * CHANNELS
        vectors = torch.empty(size, width, dtype=torch.bfloat16, device=device)
        generator = torch.Generator().manual_seed(0)
        for start in range(0, size, 50_000):
            part = torch.randn(min(50_000, size - start), width, generator=generator)
            vectors[start : start + len(part)] = functional.normalize(part, dim=1)
        clock = clock_for(torch.get_num_threads(), vectors.device)
        allowed, ids = np.ones(size, np.bool_), np.arange(size)
        taken = []
        for number in range(queries + 3):
            query = vectors[number % size][None].float()
            started = clock()
            search(vectors, query, k, allowed=allowed, entry_id=ids)
            taken.append(clock() - started)
        times = np.asarray(taken[3:]) * 1e3
        rows.append(
            {
                "vectors": size,
                "K": k,
                "p50 ms": float(np.percentile(times, 50)),
                "p99 ms": float(np.percentile(times, 99)),
                "MiB": vectors.numel() * 2 / 2**20,
            }
        )
    return Table(
        f"Shortlist over bfloat16 vectors of {STRIPS * CHANNELS} on {device}, {_time_of(device)}",
        rows,
    )


def rolling_table(
    *,
    hours: float = 24.0,
    per_second: int = 20,
    kept_s: float = 900.0,
    k: int = 100,
    device: str = "cpu",
    map_dtype: torch.dtype = torch.int8,
    progress: Callable[[str], None] = lambda text: None,
) -> Table:
    """Simulate a rolling gallery: inserts every second, exact eviction, now and then queries.

    Args:
        hours: Simulated time after the gallery has filled up to its age limit.
        per_second: Inserts per simulated second.
        kept_s: Age limit, seconds.
        k: Size of the shortlist of the queries.
        device: Where the gallery lives.
        map_dtype: Storage dtype of the maps.
        progress: Told the simulated hour.
    """
    capacity = int(per_second * (kept_s + 2))
    scorer = filled_scorer(0, capacity=capacity, map_dtype=map_dtype, device=device)
    generator = torch.Generator().manual_seed(0)
    insert_random(scorer, 0, per_second, at_s=0.0, generator=generator)
    maps = scorer.ring.feature_maps(slice(0, per_second))
    vectors = scorer.ring.vectors[:per_second].clone()
    filling, total = round(kept_s), max(1, round(hours * 3600))
    every = max(1, total // 12)
    rows: list[dict[str, Value]] = []
    wrong, spent = 0, 0.0
    for second in range(1, filling + total + 1):
        entries = entries_of(second * per_second, per_second, float(second))
        started = time.process_time()
        scorer.ring.insert(entries, maps, vectors)
        scorer.evict(before_s=second - kept_s)
        spent += time.process_time() - started
        wrong += len(scorer) != per_second * min(second + 1, round(kept_s) + 1)
        if second == filling:
            spent = 0.0
        elif second > filling and (second - filling) % every == 0:
            hour = (second - filling) / 3600
            progress(f"simulated {hour:.1f} of {hours:g} hours")
            times = query_times_ms(scorer, k, 60)[:, 2]
            rows.append(
                {
                    "hour": hour,
                    "live": len(scorer),
                    "resident MiB": _resident_mib(),
                    "insert+evict CPU us/crop": spent / (every * per_second) * 1e6,
                    "query p50 ms": float(np.percentile(times, 50)),
                    "query p99 ms": float(np.percentile(times, 99)),
                    "seconds with a wrong count": wrong,
                }
            )
            spent = 0.0
    first, last = (float(str(row["query p50 ms"])) for row in (rows[0], rows[-1]))
    return Table(
        f"{hours:g} simulated hours, {per_second} inserts a second, {kept_s:g} s kept, on "
        f"{device}, {_time_of(device)}",
        rows,
        [
            f"{len(rows)} samples: resident memory moved by "
            f"{float(str(rows[-1]['resident MiB'])) - float(str(rows[0]['resident MiB'])):+.1f} "
            f"MiB, the median query takes {last / first:.2f} times what it took at first."
        ],
    )


def _resident_mib() -> float:
    """Memory that the process holds now; its largest so far where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def _time_of(device: str) -> str:
    threads = torch.get_num_threads()
    if device.startswith("cuda"):
        return "wall time"
    return "one thread, CPU time" if threads == 1 else f"{threads} threads, wall time"
