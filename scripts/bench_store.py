#!/usr/bin/env python3
"""Rows per second into the store, beside a plain loop over the same SQLite in the same run.

Detection rows alone, and the real mix of a camera (per crop: picture, map and vector of usual size,
ten detections, now and then a track's end with its decision), each through `StoreWriter` (receipts,
counters, idempotent) and through a plain `executemany` into bare tables. The ratio is what
exactly-once, restart and counters cost. Median of several rounds; the first round warms up.

Example: scripts/bench_store.py --rounds 5 --output docs/results/store_bench.json
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamreid.clock import SystemClock
from streamreid.engine.events import Decision, IdentityUpdate, Outcome
from streamreid.store import (
    Batch,
    CropRow,
    DetectionRows,
    Housekeeper,
    HousekeepingRules,
    MessageId,
    RunInfo,
    StoreWriter,
    TrackEnd,
    gallery_rows,
    open_store,
    restore,
)
from streamreid.types import CameraId, IdentityId, TrackId

CAMERA = CameraId("bench")
JPEG, MAP, VECTOR = os.urandom(6_000), os.urandom(24_600), os.urandom(256)
ROWS_PER_MESSAGE = 100
BOX = np.array([10, 20, 40, 80], np.float32)


def open_bench(path: Path, durability: str) -> StoreWriter:
    """A fresh store with one camera."""
    store = open_store(path, run=RunInfo(), clock=SystemClock(), durability=durability)
    store.register_camera(CAMERA, url="bench.mp4")
    store.register_stream(CAMERA, 1)
    return store


def detections(store: StoreWriter, seq: int, count: int) -> DetectionRows:
    """One message of detections of one track."""
    key = store.track_key(CAMERA, 1, TrackId(seq // 20), 0.0)
    return DetectionRows(
        message=MessageId(CAMERA, 1, "detections", seq),
        track=np.full(count, key, np.int64),
        captured_at_s=seq + np.arange(count, dtype=np.float64) / count,
        boxes_xyxy=np.tile(BOX, (count, 1)),
        confidence=np.full(count, 0.9, np.float32),
    )


def crop(store: StoreWriter, seq: int) -> CropRow:
    """One crop of usual size."""
    return CropRow(
        message=MessageId(CAMERA, 1, "crop", seq),
        key=store.reserve_crop(),
        track=store.track_key(CAMERA, 1, TrackId(seq // 20), 0.0),
        captured_at_s=float(seq),
        box_xyxy=BOX,
        confidence=0.9,
        quality=0.5,
        jpeg=JPEG,
        vector=VECTOR,
        feature_map=MAP,
        weights_digest="0" * 64,
    )


def bench_detections(path: Path, durability: str, rows: int) -> float:
    """Detection rows per second, in messages of 100 rows, ten messages per commit."""
    with open_bench(path, durability) as store:
        began = time.perf_counter()
        for first in range(0, rows // ROWS_PER_MESSAGE, 10):
            batch = [detections(store, first + i, ROWS_PER_MESSAGE) for i in range(10)]
            store.commit(Batch(detections=tuple(batch)))
        return rows / (time.perf_counter() - began)


def plain_detections(path: Path, durability: str, rows: int) -> float:
    """The same rows into a bare table, the same number per commit."""
    connection = plain_connection(path, durability)
    connection.execute("CREATE TABLE d (track, at, x1, y1, x2, y2, confidence)")
    began = time.perf_counter()
    for first in range(0, rows, 10 * ROWS_PER_MESSAGE):
        values = [(first // 2000, first + i, 10.0, 20.0, 40.0, 80.0, 0.9) for i in range(1000)]
        with connection:
            connection.executemany("INSERT INTO d VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    elapsed = time.perf_counter() - began
    connection.close()
    return rows / elapsed


def bench_mix(path: Path, durability: str, crops: int) -> float:
    """Crops per second with all that belongs to them, 16 crops per commit, as the matcher does."""
    with open_bench(path, durability) as store:
        began = time.perf_counter()
        for first in range(0, crops, 16):
            seqs = range(first, first + 16)
            rows = tuple(crop(store, seq) for seq in seqs)
            ended = [row for row in rows if row.message.seq % 20 == 19]
            ends = tuple(
                TrackEnd(MessageId(CAMERA, 1, "track", row.message.seq), row.track, 0, 1e9, "left")
                for row in ended
            )
            found = tuple(detections(store, seq, 10) for seq in seqs)
            store.commit(Batch(crops=rows, detections=found, ends=ends))
            store.commit(Batch(outcome=outcome(ended)))
        return crops / (time.perf_counter() - began)


def outcome(ended: list[CropRow]) -> Outcome:
    """A new identity for every track that ended."""
    at_s = 1e9
    decisions = tuple(
        Decision(row.track, 0, at_s, IdentityId(row.track), 0.9, 0.9, None, None, None, None, "new")
        for row in ended
    )
    updates = tuple(
        IdentityUpdate(decision.identity_id, "confirmed", at_s, at_s) for decision in decisions
    )
    return Outcome(decisions, updates)


def plain_mix(path: Path, durability: str, crops: int) -> float:
    """The same bytes into two bare tables."""
    connection = plain_connection(path, durability)
    connection.execute("CREATE TABLE c (track, at, jpeg, vector, map)")
    connection.execute("CREATE TABLE d (track, at, x1, y1, x2, y2, confidence)")
    began = time.perf_counter()
    for first in range(0, crops, 16):
        rows = [(seq // 20, seq, JPEG, VECTOR, MAP) for seq in range(first, first + 16)]
        found = [
            (seq // 20, seq, 1.0, 2.0, 3.0, 4.0, 0.9) for seq in range(first * 10, first * 10 + 160)
        ]
        with connection:
            connection.executemany("INSERT INTO c VALUES (?, ?, ?, ?, ?)", rows)
            connection.executemany("INSERT INTO d VALUES (?, ?, ?, ?, ?, ?, ?)", found)
    elapsed = time.perf_counter() - began
    connection.close()
    return crops / elapsed


def plain_connection(path: Path, durability: str) -> sqlite3.Connection:
    """A bare database with the same journal and durability."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {durability}")
    return connection


def bench_upkeep(path: Path, crops: int) -> dict[str, float]:
    """Seconds to restart from, and to forget, a store of this many crops."""
    bench_mix(path, "normal", crops)
    with open_bench(path, "normal") as store:
        began = time.perf_counter()
        tracks = len(restore(store, since_s=0.0).tracks)
        restored_s = time.perf_counter() - began
        began = time.perf_counter()
        maps = sum(len(batch) for batch in gallery_rows(store, since_s=-1.0))
        read_s = time.perf_counter() - began
        rules = HousekeepingRules(max_age_s=-60.0, gallery_age_s=1e9, reserve_bytes=0)
        keeper = Housekeeper(store, clock=SystemClock(), rules=rules)
        steps = []
        while True:
            began = time.perf_counter()
            removed = keeper.turn(event_time_s=0.0).removed
            steps.append(time.perf_counter() - began)
            if not removed.tracks:
                break
    return {
        "tracks": tracks,
        "maps": maps,
        "restore_s": restored_s,
        "read_maps_s": read_s,
        "retention_s": sum(steps),
        "retention_longest_step_s": max(steps),
    }


def measure(run: Callable[[Path], float], rounds: int) -> dict[str, float]:
    """Median and quartiles of several rounds, each in a new folder; the first is left out."""
    values = []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            values.append(run(Path(folder) / "bench.sqlite"))
    kept = values[1:]
    low, _, high = statistics.quantiles(kept, n=4) if len(kept) > 1 else (kept[0],) * 3
    return {"median": statistics.median(kept), "low": low, "high": high}


def main() -> int:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--crops", type=int, default=3_200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    figures: dict[str, object] = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
    }
    for durability in ("normal", "full"):
        pairs = {
            "detection_rows": (bench_detections, plain_detections, args.rows),
            "crops_with_all": (bench_mix, plain_mix, args.crops),
        }
        for name, (ours, plain, size) in pairs.items():
            mine = measure(lambda path, f=ours, d=durability, n=size: f(path, d, n), args.rounds)
            bare = measure(lambda path, f=plain, d=durability, n=size: f(path, d, n), args.rounds)
            ratio = mine["median"] / bare["median"]
            figures[f"{name}_{durability}"] = {"store": mine, "plain": bare, "ratio": ratio}
            print(
                f"{name}, {durability}: store {mine['median']:,.0f}/s, plain loop "
                f"{bare['median']:,.0f}/s, ratio {ratio:.2f}",
                flush=True,
            )
    with tempfile.TemporaryDirectory() as folder:
        figures["upkeep"] = bench_upkeep(Path(folder) / "bench.sqlite", args.crops)
    print(f"upkeep: {figures['upkeep']}")
    if args.output:
        args.output.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
