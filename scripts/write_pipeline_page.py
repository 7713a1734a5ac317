#!/usr/bin/env python3
"""Turn the JSON of scripts/bench_pipeline.py into docs/results/pipeline.md.

Example: scripts/bench_pipeline.py ... > p.json && scripts/write_pipeline_page.py p.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

STAGES = ("decode", "gate", "resize", "detect", "track", "crop", "send", "features", "matching")
MATCHER = ("features", "matching")
DETECTOR_GFLOP = 5.5 * 384 / 640
LOOKS = 5.0

_INTRO = """# What one camera costs

Written by `scripts/write_pipeline_page.py` from `scripts/bench_pipeline.py`. Milliseconds of one
core per second of video, median of {rounds} rounds in which all ways take turns; processor time,
one thread. 1920x1080 at 25 fps, H.264, {busy_rate:.1f} Mb/s (busy) and {idle_rate:.1f} Mb/s (idle);
5 looks a second; each person embedded and looked up once a second in a gallery of 1,000 maps of
128 channels, 24x8 places.

- **busy**: PETS S2.L1 view 1 (480x360, 10 fps) scaled up, each picture shown 2.5 times with noise
  of its own; 3 to 8 people in view, 6 on average. **idle**: a wall with sensor noise, nobody.
- **plain way**: the same networks with `cv2.VideoCapture` (one thread), whole BGR frames,
  ultralytics' letterbox and eager torch, one crop at a time through the feature network in eager
  torch, and the whole correlation of a query with the gallery in one einsum. ultralytics' own
  `predict` would cost more.
- **floor**: decoding alone, plus the detector's {gflop:.1f} GFLOP at the speed that this core
  reaches in a 2048^3 product in bfloat16 ({peak:.0f} GFLOP/s).
- **per call**: one frame for `decode`, one look for the other stages, one crop for `features` and
  `matching`.

Machine: {machine}; load average {load} while this ran, so processor times are somewhat high in all
columns. {versions}.
Detector: {detector}. Features: {features}. Our maps are kept in {map_dtype} and matched
exhaustively here; the live matcher scores a shortlist of 100.
"""


def table(result: dict[str, Any]) -> list[str]:
    """One row per stage."""
    seconds = result["per_second_ms"]
    lines = [
        "| stage | busy: ours | per call | busy: plain way | idle: ours | idle: plain way |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for stage in STAGES:
        cells = [_value(seconds[scene][way].get(stage)) for scene, way in _WAYS]
        call = _value(result["per_call_ms"].get(f"busy: {stage}"), digits=2)
        lines.append(f"| {stage} | {cells[0]} | {call} | {cells[1]} | {cells[2]} | {cells[3]} |")
    for name, left_out in (("camera side", MATCHER), ("all", ())):
        sums = [_sum(seconds[scene][way], left_out) for scene, way in _WAYS]
        lines.append(
            f"| **{name}** | **{sums[0]:.0f}** | | {sums[1]:.0f} "
            f"| **{sums[2]:.0f}** | {sums[3]:.0f} |"
        )
    return lines


_WAYS = (("busy", "ours"), ("busy", "plain"), ("idle", "ours"), ("idle", "plain"))


def verdict(result: dict[str, Any]) -> list[str]:
    """Targets, ratios and cameras per core."""
    seconds = result["per_second_ms"]
    decode = {scene: seconds[scene]["decoding alone"]["decode"] for scene in ("busy", "idle")}
    floor = decode["busy"] + LOOKS * 1e3 * DETECTOR_GFLOP / result["gemm_bf16_gflops"]
    ours, plain = ({n: _sum(seconds["busy"][way], left) for n, left in _SUMS} for way in _BOTH)
    idle = _sum(seconds["idle"]["ours"], MATCHER)
    return [
        "| | ours | plain way | ratio | floor |",
        "| --- | --- | --- | --- | --- |",
        f"| busy, with features and matching, ms/s | {ours['all']:.0f} | {plain['all']:.0f} "
        f"| **{plain['all'] / ours['all']:.1f}** | |",
        f"| busy, camera side only, ms/s | {ours['camera']:.0f} | {plain['camera']:.0f} "
        f"| {plain['camera'] / ours['camera']:.1f} | {floor:.0f} |",
        f"| cameras per core, with features and matching | {1e3 / ours['all']:.1f} "
        f"| {1e3 / plain['all']:.1f} | | |",
        f"| cameras per core, camera side only | {1e3 / ours['camera']:.1f} "
        f"| {1e3 / plain['camera']:.1f} | | {1e3 / floor:.1f} |",
        f"| idle, against decoding alone ({decode['idle']:.0f} ms/s) | {idle:.0f} | "
        f"| **{idle / decode['idle']:.2f}** | |",
        "",
        "Targets: with people in view at least 4 times fewer milliseconds than the plain way (on",
        "the camera side alone even the floor is not that far below it: most of it is decoding);",
        "with nobody in view at most 1.3 times the decoding alone.",
    ]


_BOTH = ("ours", "plain")
_SUMS = (("all", ()), ("camera", MATCHER))


def _sum(stages: dict[str, float], left_out: tuple[str, ...]) -> float:
    return sum(value for stage, value in stages.items() if stage not in left_out)


def _value(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main() -> int:
    """Read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/results/pipeline.md"))
    chosen = parser.parse_args()
    result = json.loads(chosen.json.read_text("utf-8"))
    intro = _INTRO.format(
        rounds=result["rounds"],
        busy_rate=result["clip_mbit_s"]["busy"],
        idle_rate=result["clip_mbit_s"]["idle"],
        gflop=DETECTOR_GFLOP,
        peak=result["gemm_bf16_gflops"],
        machine=result["machine"],
        versions=", ".join(f"{name} {value}" for name, value in result["versions"].items()),
        detector=result["detector"],
        features=result["features"],
        load=result["load_average"],
        map_dtype=result["map_dtype"],
    )
    text = "\n".join([intro, *table(result), "", *verdict(result), ""])
    # What follows the first heading was measured by other means and stays.
    before = chosen.out.read_text("utf-8") if chosen.out.is_file() else ""
    _, heading, rest = before.partition("\n## ")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(text + heading + rest, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
