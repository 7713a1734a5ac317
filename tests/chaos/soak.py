"""A long run of four RTSP cameras through the real command, with or without random faults (R10)."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streamreid.runtime.counter_rows import read_counters
from streamreid.simulation.truth import SceneTruth
from streamreid.types import CameraId
from tests.chaos.soak_faults import Faults
from tests.chaos.soak_scene import CALM_S, FPS, drawn_scene
from tests.chaos.soak_watch import Watcher
from tests.video.servers import RtspServer, rtsp_server

LOOK_EVERY_S = 0.25

_CONFIG = """\
streamreid: 1
defaults: {{detect_fps: {fps}}}
cameras:
{cameras}
detector: {{kind: motion}}
matcher: {{threads: 1, gallery: {{max_crops: 1900, max_age: 1h}}}}
association: {{false_merge_rate: 0.05, lag: 20s}}
logging: {{format: json}}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    Attributes:
        seconds: Length of the scene.
        seed: Chooses the scene and the faults.
        every_s: Mean seconds between two faults; None injects none.
    """

    seconds: float
    seed: int = 1
    every_s: float | None = None


def soak(plan: Plan, scene: Path, out: Path) -> dict[str, Any]:
    """Run once; everything that was found, also written to `out/soak.json`.

    Args:
        plan: What to run.
        scene: Folder of the drawn scene; drawn if needed.
        out: New folder for configuration, store and log.
    """
    truth = drawn_scene(scene, plan.seconds, seed=plan.seed)
    out.mkdir(parents=True)
    origin_s = time.time()
    watcher = Watcher(out / "soak.sqlite")
    with ExitStack() as stack:
        servers = {
            camera: stack.enter_context(rtsp_server(scene, origin_s=origin_s))
            for camera in truth.boxes
        }
        config = _write_config(out, servers)
        with _streamreid(config, out / "log.jsonl") as process:
            faults = _attend(plan, truth, origin_s, out, process, servers, watcher)
            began_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=60.0)
    found = {
        "seconds": plan.seconds,
        "exit": code,
        "end took s": round(time.monotonic() - began_s, 1),
        "origin_s": origin_s,
        "faults": [asdict(one) for one in faults.done],
        "blind": {
            camera: [(round(a - origin_s, 2), round(b - origin_s, 2)) for a, b in windows]
            for camera, windows in watcher.blind.items()
        },
        "memory": watcher.memory(),
        "WAL MiB": round(watcher.wal_bytes / 2**20, 1),
        "latency s": watcher.latency_s(),
        "cores": round(sum(watcher.cpu_s.values()) / plan.seconds, 2),
        **audit(out / "soak.sqlite"),
    }
    (out / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def audit(store: Path) -> dict[str, Any]:
    """Compare the books in a store with its rows, and let SQLite check itself."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        foreign = len(connection.execute("PRAGMA foreign_key_check").fetchall())
        books = connection.execute("SELECT kind, produced, stored, dropped FROM streams").fetchall()
        (crops,) = connection.execute("SELECT count(*) FROM crops").fetchone()
    produced = sum(row[1] for row in books)
    stored = sum(row[2] for row in books)
    dropped: dict[str, int] = {}
    for row in books:
        for reason, count in json.loads(row[3]).items():
            dropped[reason] = dropped.get(reason, 0) + count
    return {
        "produced": produced,
        "stored": stored,
        "dropped": dropped,
        "crops stored": sum(row[2] for row in books if row[0] == "crop"),
        "crop rows": crops,
        "integrity": integrity if not foreign else f"{foreign} rows without parents",
    }


def problems(found: dict[str, Any]) -> list[str]:
    """Everything of one run that must not be; empty for a sound one."""
    wrong = []
    if found["exit"] != 0:
        wrong.append(f"exit code {found['exit']}")
    balance = found["produced"] - found["stored"] - sum(found["dropped"].values())
    if balance:
        wrong.append(f"{balance} more messages were produced than stored and dropped")
    if found["crops stored"] != found["crop rows"]:
        wrong.append(f"{found['crops stored']} crops stored, {found['crop rows']} rows")
    if found["integrity"] != "ok":
        wrong.append(f"database: {found['integrity']}")
    if found["WAL MiB"] >= 64.0:
        wrong.append(f"WAL of {found['WAL MiB']} MiB")
    for name, memory in found["memory"].items():
        if memory.get("MiB/min", 0.0) >= 1.0:
            wrong.append(f"{name} grows by {memory['MiB/min']} MiB a minute")
    return wrong


def _attend(
    plan: Plan,
    truth: SceneTruth,
    origin_s: float,
    out: Path,
    process: subprocess.Popen[bytes],
    servers: Mapping[CameraId, RtspServer],
    watcher: Watcher,
) -> Faults:
    """Watch the run to the end of the scene, and break things if that is planned."""
    end_s = origin_s + plan.seconds
    faults = Faults(
        servers,
        first_s=origin_s + CALM_S,
        last_s=(end_s - 30.0) if plan.every_s is not None else float("-inf"),
        every_s=plan.every_s or 1.0,
        seed=plan.seed,
    )
    watcher.begin(truth.boxes, origin_s)
    halved = False
    while (now_s := time.time()) < end_s:
        if process.poll() is not None:
            raise RuntimeError(f"streamreid ended by itself: exit code {process.returncode}")
        rows = read_counters(out / "soak.run")
        watcher.look(rows)
        watcher.measure("supervisor", process.pid)
        faults.turn(now_s, rows)
        if not halved and now_s > origin_s + plan.seconds / 2:
            halved = True
            watcher.half_time()
        time.sleep(LOOK_EVERY_S)
    faults.repair_all()
    watcher.finish(end_s)
    return faults


@contextmanager
def _streamreid(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real command; killed if something goes wrong here."""
    program = [sys.executable, "-P", "-m", "streamreid.cli.main"]
    command = [*program, "run", "--plain", "--cameras", str(config)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _write_config(out: Path, servers: Mapping[CameraId, RtspServer]) -> Path:
    lines = [
        f'  {name}: {{url: "{server.url(f"{name}.mp4")}"}}' for name, server in servers.items()
    ]
    text = _CONFIG.format(fps=FPS, cameras="\n".join(lines))
    text += "store: {path: soak.sqlite}\n"
    path = out / "cams.yaml"
    path.write_text(text, encoding="utf-8")
    return path
