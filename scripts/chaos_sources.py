#!/usr/bin/env python3
"""Faults of cameras at their full numbers.

Kills and freezes (R2), one bad camera of four (R3), damaged files (R8), cameras whose clocks are
wrong (R13). Real RTSP servers on 127.0.0.1 are killed, frozen and restarted under real sources:
aio-rtsp-toolkit's, and GStreamer's too where it is installed.

Example: scripts/chaos_sources.py --kills 40 --freezes 10 --json sources.json

Exit code 0 when every fault was survived, 1 otherwise.
"""

import argparse
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
from chaos_report import Figures, run_all

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from streamreid.clock import SystemClock
from streamreid.errors import SourceError
from streamreid.types import CameraId, Frame
from streamreid.video.source import FrameSource, open_source
from tests.video.clips import numbered_pictures, shown_number, write_clip
from tests.video.damage import damaged
from tests.video.servers import (
    GStreamerServer,
    RtspServer,
    gstreamer_python,
    http_server,
    running,
)

SERVERS = {"aio-rtsp-toolkit": RtspServer, "GStreamer": GStreamerServer}
CLIP, CLIP_FPS = "door.mp4", 30
NUMBERED, NUMBERED_FPS = "numbered.mp4", 10
LONGEST_BACK_S, LONGEST_UNNOTICED_S = 2.0, 12.0
WORST_CLOCK_S = 0.05


def opened(stack: ExitStack, url: str, name: str, *, healthy_after_s: float = 10.0) -> FrameSource:
    """A source that is closed with the stack."""
    source = open_source(
        url, camera_id=CameraId(name), clock=SystemClock(), healthy_after_s=healthy_after_s
    )
    stack.callback(source.close)
    return source


def waited(condition: Callable[[], bool], limit_s: float = 90.0) -> float:
    """Seconds until something is true; infinity after the limit."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > limit_s:
            return float("inf")
        time.sleep(0.01)
    return time.monotonic() - began_s


def outages(kind: type[RtspServer], folder: Path, kills: int, freezes: int) -> Figures:
    """R2: how fast a dead and a silent camera are noticed and come back, and what it costs."""
    process = psutil.Process()
    back_s: list[float] = []
    noticed_s: list[float] = []
    with ExitStack() as stack:
        server = stack.enter_context(running(kind(folder)))
        # Nobody kills a camera 40 times in a row; without this the waits would grow to 10 s.
        source = opened(stack, server.url(CLIP), "door", healthy_after_s=0.0)
        waited(lambda: source.status().frames > 30)
        before = (process.num_fds(), process.num_threads(), process.memory_info().rss / 2**20)
        for _ in range(kills):
            server.kill()
            waited(lambda: source.status().state == "retrying")
            frames = source.status().frames
            server.start()
            back_s.append(waited(lambda seen=frames: source.status().frames > seen))  # type: ignore[misc]
        for _ in range(freezes):
            waited(lambda: source.status().state == "live")
            time.sleep(0.5)
            server.freeze()
            noticed_s.append(waited(lambda: source.status().state == "retrying"))
            server.thaw()
        waited(lambda: source.status().state == "live")
        after = (process.num_fds(), process.num_threads(), process.memory_info().rss / 2**20)
    problems = []
    if any(value == float("inf") for value in (*back_s, *noticed_s)):
        problems.append("a camera did not come back")
    if any(late > early * 1.1 + 1 for early, late in zip(before, after, strict=True)):
        problems.append("files, threads or memory leaked")
    if back_s and max(back_s) > LONGEST_BACK_S:
        problems.append(f"a first frame took {max(back_s):.1f} s, allowed are {LONGEST_BACK_S}")
    if noticed_s and max(noticed_s) > LONGEST_UNNOTICED_S:
        problems.append(f"a freeze lasted {max(noticed_s):.1f} s unnoticed")
    return {
        "kills": kills,
        "first frame after the server is back, s: median / max": _two(back_s),
        "freezes": freezes,
        "freeze noticed after, s: median / max": _two(noticed_s),
        "open files, threads, RSS MiB before": [round(value) for value in before],
        "open files, threads, RSS MiB after": [round(value) for value in after],
        "problems": problems,
    }


def one_bad_camera(kind: type[RtspServer], folder: Path, seconds: float) -> Figures:
    """R3: frame rate of three cameras while the fourth is dead, frozen, locked or garbage."""
    shares: dict[str, float] = {}
    for fault in ("none", "dead", "frozen", "locked", "garbage"):
        with ExitStack() as stack:
            good = stack.enter_context(running(kind(folder)))
            sources = [opened(stack, good.url(CLIP), f"good{n}") for n in range(3)]
            bad = opened(stack, _bad_url(stack, fault, kind, folder), "bad")
            waited(lambda: all(s.status().frames > 10 for s in sources))  # noqa: B023
            began_s, frames = time.monotonic(), [s.status().frames for s in sources]
            time.sleep(seconds)
            elapsed_s = time.monotonic() - began_s
            rates = [
                (source.status().frames - first) / elapsed_s
                for source, first in zip(sources, frames, strict=True)
            ]
            shares[f"{fault}: frames a second of the worst other camera"] = round(min(rates), 2)
            shares[f"{fault}: state of the bad camera"] = bad.status().state  # type: ignore[assignment]
    base = shares["none: frames a second of the worst other camera"]
    low = [k for k, v in shares.items() if isinstance(v, float) and v < 0.95 * min(base, CLIP_FPS)]
    return {**shares, "problems": low}


def _bad_url(stack: ExitStack, fault: str, kind: type[RtspServer], folder: Path) -> str:
    if fault == "locked" and kind is GStreamerServer:
        locked = stack.enter_context(running(GStreamerServer(folder, userinfo="bob:right")))
        return locked.url(CLIP, "bob:wrong@")
    if fault == "locked":  # the other server asks nobody for a password
        address, _ = stack.enter_context(http_server({"/s": (401, {}, b"")}))
        return f"{address}/s"
    if fault == "garbage":
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stop = threading.Event()
        thread = threading.Thread(target=_serve_garbage, args=(listener, stop), daemon=True)
        thread.start()
        stack.callback(stop.set)
        return f"rtsp://127.0.0.1:{listener.getsockname()[1]}/s"
    server = stack.enter_context(running(kind(folder)))
    if fault == "dead":
        server.kill()
    elif fault == "frozen":
        server.freeze()
    return server.url(CLIP)


def _serve_garbage(listener: socket.socket, stop: threading.Event) -> None:
    listener.settimeout(0.2)
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(random.Random(0).randbytes(65536))  # noqa: S311
        except OSError:
            continue


def wrong_clocks(kind: type[RtspServer], folder: Path) -> Figures:
    """R13: what pictures show says when they were taken, by the clock of the camera itself."""
    found: Figures = {"problems": []}
    for shift_s in (-5.0, 5.0):
        if kind is GStreamerServer:
            server: RtspServer = GStreamerServer(folder, clock_shift_s=shift_s)
        else:
            server = RtspServer(folder, clock_shift_s=shift_s, origin_s=time.time())
        frames: list[Frame] = []
        with ExitStack() as stack:
            stack.enter_context(running(server))
            source = opened(stack, server.url(NUMBERED), "clock")
            while sum(f.time_source == "rtcp" for f in frames) < 30 and len(frames) < 200:
                frame = source.read(5.0)
                if frame is None:
                    break
                frames.append(frame)
            told_s, position_s = server.report()
        reported = [frame for frame in frames if frame.time_source == "rtcp"]
        began_s = told_s - position_s
        errors_s = [
            abs(f.captured_at_s - began_s - shown_number(f) / NUMBERED_FPS) for f in reported
        ]
        jumps_s = [
            abs(
                b.captured_at_s
                - a.captured_at_s
                - (shown_number(b) - shown_number(a)) / NUMBERED_FPS
            )
            for a, b in pairwise(frames)
            if a.segment == b.segment
        ]
        name = f"clock {shift_s:+.0f} s"
        found[f"{name}: frames timed by arrival, by the camera"] = [
            len(frames) - len(reported),
            len(reported),
        ]
        found[f"{name}: largest error of the camera's times, ms"] = (
            round(1e3 * max(errors_s), 2) if errors_s else None
        )
        found[f"{name}: largest error of a step inside a segment, s"] = round(max(jumps_s), 2)
        if len(reported) < 30 or max(errors_s) > WORST_CLOCK_S:
            found["problems"].append(f"{name}: times are not the camera's")
        if max(jumps_s) > 1.0:
            found["problems"].append(f"{name}: a segment goes on over a jump of time")
    return found


def damaged_files(folder: Path, count: int) -> Figures:
    """R8: damaged videos play or are refused by name, and none hangs."""
    suffixes = ("mp4", "ts", "mkv")
    cleans = {s: write_clip(folder / f"c.{s}", frames=25).read_bytes() for s in suffixes}
    played, refused, slowest_s, problems = 0, 0, 0.0, []
    for seed in range(count):
        suffix = suffixes[seed % 3]
        path = folder / f"damaged{seed}.{suffix}"
        path.write_bytes(damaged(cleans[suffix], random.Random(seed)))  # noqa: S311
        began_s = time.monotonic()
        try:
            for _ in open_source(str(path), camera_id=CameraId("d"), clock=SystemClock()):
                pass
            played += 1
        except SourceError as error:
            refused += 1
            if path.name not in str(error):
                problems.append(f"an error does not name {path.name}: {error}")
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        path.unlink()
    if slowest_s > 10.0:
        problems.append(f"a file took {slowest_s:.1f} s")
    slowest = round(slowest_s, 2)
    return {"played": played, "refused": refused, "slowest s": slowest, "problems": problems}


def _two(values: list[float]) -> list[float]:
    return [round(statistics.median(values), 2), round(max(values), 2)] if values else []


def main() -> int:
    """Run all faults and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--freezes", type=int, default=10)
    parser.add_argument("--bad-camera-seconds", type=float, default=60.0, help="for each fault")
    parser.add_argument("--damaged", type=int, default=200)
    parser.add_argument("--servers", nargs="*", choices=SERVERS, help="only with these servers")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="src") as name:
        folder = Path(name)
        # The server does not loop every clip, and an end would be one more fault.
        write_clip(folder / CLIP, frames=100 * CLIP_FPS, fps=CLIP_FPS)
        write_clip(folder / NUMBERED, fps=NUMBERED_FPS, pictures=numbered_pictures(250))
        faults = {"R8 damaged files": partial(damaged_files, folder, args.damaged)}
        for server in args.servers or SERVERS:
            if SERVERS[server] is GStreamerServer and gstreamer_python() is None:
                print("GStreamer's RTSP server is not installed here: left out", flush=True)
                continue
            kind = SERVERS[server]
            faults |= {
                f"R3 one bad camera of four, {server}": partial(
                    one_bad_camera, kind, folder, args.bad_camera_seconds
                ),
                f"R2 kills and freezes, {server}": partial(
                    outages, kind, folder, args.kills, args.freezes
                ),
                f"R13 wrong clocks, {server}": partial(wrong_clocks, kind, folder),
            }
        return run_all(faults, args.json)


if __name__ == "__main__":
    sys.exit(main())
