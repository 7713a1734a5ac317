#!/usr/bin/env python3
"""Memory of a camera worker: runs `streamreid run` on a video and watches the worker's pages.

RSS counts pages that other processes share in full, PSS by share, private not at all; the largest
sample (twice a second) of each, in MiB.

Example: scripts/bench_memory.py pets.mp4 --detector yolo26n.pt --backend openvino-bf16
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_FIELDS = {"Rss": "RSS", "Pss": "PSS", "Private_Clean": "private", "Private_Dirty": "private"}


def worker_of(config: Path) -> Path | None:
    """Folder in /proc of the camera worker that runs a configuration."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"workers.camera" in command and str(config).encode() in command:
            return process
    return None


def sample_mib(process: Path) -> dict[str, float]:
    """RSS, PSS and private memory now, in MiB."""
    sizes = dict.fromkeys(_FIELDS.values(), 0.0)
    for line in (process / "smaps_rollup").read_text("utf-8").splitlines()[1:]:
        name, kib = line.split()[:2]
        if name.rstrip(":") in _FIELDS:
            sizes[_FIELDS[name.rstrip(":")]] += int(kib) / 1024
    return sizes


def watch(config: Path) -> dict[str, float]:
    """Run until the video has ended; the largest samples."""
    command = [sys.executable, "-m", "streamreid.cli.main", "run", "--cameras", str(config)]
    most: dict[str, float] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None:
            time.sleep(0.5)
            process = worker_of(config)
            try:
                now = sample_mib(process) if process is not None else {}
            except OSError:
                continue
            most = {name: max(size, most.get(name, 0.0)) for name, size in now.items()} or most
    return most


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", help="weights; motion without")
    parser.add_argument("--backend", default="openvino-bf16")
    chosen = parser.parse_args()
    kind = f"kind: yolo, weights: {chosen.detector}, backend: {chosen.backend}"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "cams.yaml"
        config.write_text(
            "streamreid: 1\n"
            f"cameras: {{watched: {{url: {chosen.video.resolve()}}}}}\n"
            f"detector: {{{kind if chosen.detector else 'kind: motion'}}}\n"
            f"store: {{path: {folder}/streamreid.sqlite}}\n",
            "utf-8",
        )
        most = watch(config)
    print(", ".join(f"{name} {size:.0f} MiB" for name, size in most.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
