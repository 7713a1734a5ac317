"""Put the measured tables and pictures into docs/results/matcher.md, between its markers.

python -m scripts.write_matcher_page docs/results/matcher.md docs/results/bench

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, where NAME.json is in the
folder; `targets`, `gpu_targets` and `machine` are made here. What was not measured stays as it is.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from scripts import plot_recall, plot_roofline

# What is asked of a back-end at a number of channels: times the published way, % of its product.
TARGETS = {
    ("onednn", 512): (3.5, 75),
    ("onednn", 128): (3.3, 75),
    ("bf16", 512): (7.0, 85),
    ("bf16", 128): (6.5, 72),
    ("int8", 512): (12.0, 65),
    ("int8", 128): (10.0, 50),
}
# The same on an H200, of the best 16-bit back-end: million pairs a second, % of the bfloat16
# product, times the published way in float16 and in float32. None where nothing was asked.
GPU_TARGETS = {128: (30.0, 36.0, 2.5, 7.0), 512: (None, 55.0, 1.3, None)}
_GPU_COLUMNS = ("million pairs/s", "% of product", "x official fp16", "x official fp32")
_BLOCK = re.compile(r"(<!-- begin (\w+) -->\n)(?:.*?\n)??(<!-- end \2 -->)", re.DOTALL)
_MACHINE = re.compile(r"^Machine: .*?(load average [\d.]+).*$", re.MULTILINE)


def fill(page: Path, folder: Path) -> list[str]:
    """Rewrite every block that has results and draw the pictures; gives the blocks' names."""
    text, filled = filled_text(page.read_text("utf-8"), folder)
    page.write_text(text, "utf-8")
    pictures = page.parent.parent / "pictures"
    matcher, shortlist = folder / "matcher_1_threads.json", folder / "matcher_shortlist.json"
    if matcher.exists():
        report = json.loads(matcher.read_text("utf-8"))
        machine = f"{report['machine']['processor']}, torch {report['machine']['torch']}"
        plot_roofline.draw(report["tables"][0]["rows"], machine, pictures / "matcher_roofline.png")
    if shortlist.exists():
        table = json.loads(shortlist.read_text("utf-8"))["tables"][0]
        plot_recall.draw(table, pictures / "matcher_recall.png")
    return filled


def filled_text(text: str, folder: Path) -> tuple[str, list[str]]:
    """The page with every block renewed that has results, and the names of these blocks."""
    filled: list[str] = []
    names = [found[2] for found in _BLOCK.finditer(text)]

    def block(found: re.Match[str]) -> str:
        made = _made(found[2], folder, names)
        if made is None:
            return found[0]
        filled.append(found[2])
        return f"{found[1]}{made.strip()}\n{found[3]}"

    return _BLOCK.sub(block, text), filled


def targets_table(measured: dict[int, list[dict[str, Any]]]) -> str:
    """What was asked beside what was found; `measured` maps threads to the matcher's rows."""
    lines = [
        "| back-end | C | asked: x published | asked: % of product | "
        + " | ".join(f"{threads} thread{'s'[: threads > 1]}" for threads in measured)
        + " |",
        "|" + " --- |" * (4 + len(measured)),
    ]
    for (name, channels), (times, share) in TARGETS.items():
        cells = []
        for rows in measured.values():
            row = next(
                (row for row in rows if (row["back-end"], row["C"]) == (name, channels)), None
            )
            cells.append("-" if row is None else _judged(row, times, share))
        lines.append(f"| {name} | {channels} | {times:g} | {share} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _judged(row: dict[str, Any], times: float, share: float) -> str:
    """The figures; those that miss what was asked are bold."""
    found = ((row["x official"], times, " x"), (row["% of product"], share, " %"))
    return ", ".join(_marked(value, asked, unit) for value, asked, unit in found)


def _marked(value: float, asked: float | None, unit: str = "") -> str:
    missed = asked is not None and value < asked
    return f"**{value:.3g}{unit}**" if missed else f"{value:.3g}{unit}"


def gpu_targets_table(rows: list[dict[str, Any]]) -> str:
    """What was asked of a GPU beside what was found, by gallery and queries at a time."""
    lines = [
        "| C | gallery | queries | back-end | " + " | ".join(_GPU_COLUMNS) + " |",
        "|" + " --- |" * (4 + len(_GPU_COLUMNS)),
    ]
    for channels, asked in GPU_TARGETS.items():
        cells = ["-" if value is None else f"{value:g}" for value in asked]
        lines.append(f"| {channels} | asked | | | " + " | ".join(cells) + " |")
        some = [r for r in rows if r["C"] == channels and r["back-end"].endswith("float16")]
        for size, together in dict.fromkeys((row["gallery"], row["queries"]) for row in some):
            best = max(
                (row for row in some if (row["gallery"], row["queries"]) == (size, together)),
                key=lambda row: float(row["million pairs/s"]),
            )
            cells = [_marked(best[c], a) for c, a in zip(_GPU_COLUMNS, asked, strict=True)]
            name = best["back-end"].removeprefix("auto ")
            lines.append(
                f"| {channels} | {size:,} | {together} | {name} | " + " | ".join(cells) + " |"
            )
    return "\n".join(lines)


def _made(name: str, folder: Path, names: list[str]) -> str | None:
    """The text of one block; None where nothing was measured."""
    if name == "targets":
        return _targets(folder)
    if name == "gpu_targets":
        path = folder / "matcher_gpu.json"
        report = json.loads(path.read_text("utf-8")) if path.exists() else None
        return None if report is None else gpu_targets_table(report["tables"][0]["rows"])
    return _machine(folder, names) if name == "machine" else _tables(folder / f"{name}.md")


def _targets(folder: Path) -> str | None:
    measured: dict[int, list[dict[str, Any]]] = {}
    for threads in (1, 2):
        path = folder / f"matcher_{threads}_threads.json"
        if path.exists():
            measured[threads] = json.loads(path.read_text("utf-8"))["tables"][0]["rows"]
    return targets_table(measured) if measured else None


def _machine(folder: Path, names: list[str]) -> str | None:
    """Processor and versions, once for all reports that have them in common."""
    reports: dict[str, list[str]] = {}
    for name in names:
        path = folder / f"{name}.json"
        if path.exists():
            facts = json.loads(path.read_text("utf-8"))["machine"]
            text = ", ".join(f"{key} {facts[key]}" for key in facts if key != "load average")
            reports.setdefault(text, []).append(f"`{name}`")
    lines = [
        f"{text}." if len(reports) == 1 else f"{', '.join(of)}: {text}."
        for text, of in reports.items()
    ]
    return "\n\n".join(lines) if lines else None


def _tables(path: Path) -> str | None:
    """The tables of one report; of the machine only the load is repeated."""
    if not path.exists():
        return None
    return _MACHINE.sub(r"(\1)", path.read_text("utf-8"))


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    print(*fill(arguments.page, arguments.folder))


if __name__ == "__main__":
    main()
