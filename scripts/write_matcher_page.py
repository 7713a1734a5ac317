"""Put the measured tables and pictures into docs/results/matcher.md, between its markers.

python -m scripts.write_matcher_page docs/results/matcher.md docs/results/bench

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, where NAME.json is in the
folder; `targets` and `machine` are made here. What was not measured stays as it is.
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
    return ", ".join(
        f"{value:.3g}{unit}" if value >= asked else f"**{value:.3g}{unit}**"
        for value, asked, unit in found
    )


def _made(name: str, folder: Path, names: list[str]) -> str | None:
    """The text of one block; None where nothing was measured."""
    if name == "targets":
        return _targets(folder)
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
