"""Benchmark results as JSON and Markdown, with the machine and the versions they belong to."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

Value = str | int | float | bool | None
_LIBRARIES = ("torch", "triton", "openvino", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of results.

    Attributes:
        title: What was measured and how.
        rows: One mapping per row; all have the columns of the first.
        notes: What a reader must know.
    """

    title: str
    rows: Sequence[dict[str, Value]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """The table with its title and notes."""
        lines = [f"### {self.title}", ""]
        if self.rows:
            columns = list(self.rows[0])
            lines.append("| " + " | ".join(columns) + " |")
            lines.append("|" + " --- |" * len(columns))
            lines += [
                "| " + " | ".join(_text(row.get(column)) for column in columns) + " |"
                for row in self.rows
            ]
        return "\n".join([*lines, "", *(f"{note}" for note in self.notes), ""])


def describe_machine() -> dict[str, Value]:
    """Processor, cores, load and library versions."""
    facts: dict[str, Value] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
    for library in _LIBRARIES:
        try:
            facts[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    import torch

    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    return (
        f"{named.get('model name', platform.machine())} "
        f"(family {named.get('cpu family', '?')}, model {named.get('model', '?')})"
    )


@dataclass(frozen=True, slots=True)
class Report:
    """Tables of one benchmark run on one machine."""

    name: str
    tables: Sequence[Table]
    machine: dict[str, Value] = field(default_factory=describe_machine)

    def markdown(self) -> str:
        """All tables, the machine first."""
        facts = ", ".join(f"{key} {_text(value)}" for key, value in self.machine.items())
        return "\n".join([f"Machine: {facts}.", "", *(table.markdown() for table in self.tables)])

    def json(self) -> str:
        """Everything, for programs."""
        return json.dumps(asdict(self), indent=1)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `<name>.json` and `<name>.md` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / f"{self.name}.json", folder / f"{self.name}.md"
        paths[0].write_text(self.json() + "\n", "utf-8")
        paths[1].write_text(self.markdown(), "utf-8")
        return paths


def _text(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "-" if value is None else str(value)
