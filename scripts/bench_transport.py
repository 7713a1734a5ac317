#!/usr/bin/env python3
"""Crops per second from workers to matcher, each stored in SQLite before it is acknowledged.

Beside it, in the same run on the same machine, the plain loop: ZeroMQ PUSH to PULL with the same
bytes, no numbers, no credits, no acknowledgements, no store. The ratio of the two is what the
promises cost. Processor time is that of all processes together; it is steadier than crops per
second on a busy machine.

Example: scripts/bench_transport.py --crops 20000 --workers 2
"""

import argparse
import json
import multiprocessing
import platform
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import zmq

from streamreid.clock import SystemClock
from streamreid.messages import Bye, CropMessage, Hello
from streamreid.runtime.counter_rows import read_counters
from streamreid.runtime.counters import create_counters
from streamreid.transport.keyring import create_keyring
from streamreid.transport.keys import CurveClient, CurveServer, load_keys, load_public_key
from streamreid.transport.zeromq import open_receiver, open_sender
from streamreid.types import CameraId, Crop, TrackId

WINDOW = 256


def make_crop(camera_id: CameraId, height: int, width: int) -> Crop:
    """A crop of noise."""
    rng = np.random.default_rng(0)
    return Crop(
        camera_id=camera_id,
        track_id=TrackId(1),
        captured_at_s=10.0,
        track_started_at_s=5.0,
        box_xyxy=np.array([0, 0, width, height], np.float32),
        confidence=0.9,
        quality=0.9,
        image=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
    )


def client_keys(folder: Path) -> CurveClient:
    """Keys of a worker."""
    return CurveClient(
        load_keys(folder / "worker.secret"), load_public_key(folder / "matcher.public")
    )


def run_worker(
    folder: Path, endpoint: str, curve: bool, number: int, crops: int, size: tuple[int, int]
) -> None:
    """Send crops as fast as credits allow."""
    clock, camera_id = SystemClock(), CameraId(f"camera{number}")
    crop = make_crop(camera_id, *size)
    with (
        create_counters(folder, "camera", camera_id, 1, clock=clock) as counters,
        open_sender(
            endpoint,
            Hello(camera_id, 1, False, 0, 0, "file"),
            clock=clock,
            counters=counters,
            curve=client_keys(folder / "keys") if curve else None,
        ) as sender,
    ):
        for _ in range(crops):
            sender.send_crop(crop)
        sender.drain(600.0)
        sender.bye("end")


def run_plain_worker(endpoint: str, crops: int, size: tuple[int, int]) -> None:
    """Push the same bytes and hope."""
    data = make_crop(CameraId("plain"), *size).image.tobytes()
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, 60_000)
    socket.connect(endpoint)
    for _ in range(crops):
        socket.send_multipart([b"header" * 10, data])
    socket.close()
    context.term()


def cpu_s() -> float:
    """Processor seconds of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def start_cost_s(workers: int) -> float:
    """Processor seconds that starting so many workers takes, without any work."""
    before_s = cpu_s()
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=run_nothing) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return cpu_s() - before_s


def run_nothing() -> None:
    """A worker without work."""


def measure(
    folder: Path, endpoint: str, *, curve: bool, workers: int, crops: int, size: tuple[int, int]
) -> float:
    """Crops per second from the first crop to the last commit."""
    clock = SystemClock()
    folder.mkdir(mode=0o700)
    create_keyring(folder / "keys")
    store = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    store.executescript(
        "PRAGMA journal_mode=wal; PRAGMA synchronous=normal;"
        "CREATE TABLE crops(camera TEXT, seq INTEGER, PRIMARY KEY(camera, seq)) WITHOUT ROWID;"
    )
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=run_worker, args=(folder, endpoint, curve, n, crops, size))
        for n in range(workers)
    ]
    server = CurveServer(load_keys(folder / "keys" / "matcher.secret"), folder / "keys" / "allowed")
    with (
        create_counters(folder, "matcher", "matcher", 1, clock=clock) as counters,
        open_receiver(
            endpoint, epoch=1, counters=counters, window=WINDOW, curve=server if curve else None
        ) as receiver,
    ):
        for process in processes:
            process.start()
        began_s = ended_s = 0.0
        gone = 0
        while gone < workers:
            batch: dict[CameraId, list[int]] = {}
            for received in receiver.poll(0.1):
                if isinstance(received.message, CropMessage):
                    batch.setdefault(received.camera_id, []).append(received.message.seq)
                gone += isinstance(received.message, Bye)
            if not batch:
                continue
            began_s = began_s or time.perf_counter()
            store.execute("BEGIN")
            for camera_id, seqs in batch.items():
                store.executemany(
                    "INSERT INTO crops VALUES (?, ?) ON CONFLICT DO NOTHING",
                    [(camera_id, seq) for seq in seqs],
                )
            store.execute("COMMIT")
            for camera_id, seqs in batch.items():
                receiver.ack(camera_id, 1, "crop", [(seq, "stored") for seq in seqs])
            ended_s = time.perf_counter()
        for process in processes:
            process.join()
    (rows,) = store.execute("SELECT count(*) FROM crops").fetchone()
    booked = sum(row.books["crop"].stored for row in read_counters(folder))
    if not rows == booked == workers * crops:
        raise SystemExit(f"lost crops: {rows} rows, {booked} acknowledged, {workers * crops} made")
    return rows / (ended_s - began_s)


def measure_plain(folder: Path, *, workers: int, crops: int, size: tuple[int, int]) -> float:
    """Messages per second of PUSH to PULL."""
    folder.mkdir(mode=0o700)
    endpoint = f"ipc://{folder}/plain"
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.setsockopt(zmq.LINGER, 0)
    socket.bind(endpoint)
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=run_plain_worker, args=(endpoint, crops, size)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    socket.recv_multipart()
    began_s = time.perf_counter()
    for _ in range(workers * crops - 1):
        socket.recv_multipart()
    rate = (workers * crops - 1) / (time.perf_counter() - began_s)
    for process in processes:
        process.join()
    socket.close()
    context.term()
    return rate


def main() -> int:
    """Measure all variants and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=int, default=20_000, help="crops per worker")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    size = (args.height, args.width)
    common = {"workers": args.workers, "crops": args.crops, "size": size}
    start_s = start_cost_s(args.workers)
    results: dict[str, tuple[float, float]] = {}

    def record(label: str, run: Callable[[], float]) -> None:
        before_s = cpu_s()
        rate = run()
        spent_s = cpu_s() - before_s - start_s
        results[label] = (rate, 1e6 * spent_s / (args.workers * args.crops))

    with tempfile.TemporaryDirectory(prefix="srb") as name:
        folder = Path(name)
        record("plain loop (PUSH to PULL, ipc)", lambda: measure_plain(folder / "p", **common))
        for number, (label, endpoint, curve) in enumerate(
            (
                ("ipc", f"ipc://{folder}/0/m", False),
                ("tcp", "tcp://127.0.0.1:25577", False),
                ("tcp with CURVE", "tcp://127.0.0.1:25578", True),
            )
        ):
            place = folder / str(number)
            record(label, partial(measure, place, endpoint, curve=curve, **common))
    if args.json:
        versions = {
            "python": platform.python_version(),
            "zeromq": zmq.zmq_version(),
            "pyzmq": zmq.__version__,
        }
        named = {k: {"crops_per_s": r, "cpu_us_per_crop": c} for k, (r, c) in results.items()}
        print(json.dumps({"results": named, "versions": versions, **common}))
        return 0
    plain_rate, plain_cpu = next(iter(results.values()))
    for label, (rate, cpu_us) in results.items():
        print(
            f"{label:32} {rate:9,.0f} crops/s ({rate / plain_rate:4.2f} of plain)"
            f"   {cpu_us:6.1f} us of processor per crop ({cpu_us / plain_cpu:4.2f} of plain)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
