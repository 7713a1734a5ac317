"""Writes the report of a re-identification evaluation: figures, plot, best and worst queries."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from streamreid.evaluation.features import read_rgb
from streamreid.evaluation.ranking import JUNK_IDENTITY
from streamreid.evaluation.reid import ReidEvaluation, probability_map
from streamreid.evaluation.stages import Stage, StageName
from streamreid.types import Int64Array

STAGE_TITLES: dict[StageName, str] = {
    "plain": "plain",
    "tlift": "TLift",
    "rerank": "re-ranking",
    "rerank_tlift": "re-ranking + TLift",
}
_THUMBNAIL = (68, 136)
_CMC_RANKS = 20


@dataclass(frozen=True, slots=True)
class _Shown:
    """One crop on the page."""

    name: str
    jpeg: str
    note: str = ""
    correct: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    """One query with its first gallery images."""

    query: _Shown
    items: tuple[_Shown, ...]
    average_precision: float
    first_match: int


@dataclass(frozen=True, slots=True)
class _Section:
    """Several queries under one heading."""

    title: str
    stage: str
    rows: tuple[_Row, ...]


def write_report(
    directory: Path, evaluation: ReidEvaluation, *, queries: int = 10, items: int = 10
) -> Path:
    """Write `report.html` (one file, nothing else needed), `cmc.png` and `report.json`.

    The page shows people; keep it where the images may be kept.

    Args:
        directory: Made if it is missing; files of an earlier report are replaced.
        evaluation: What to report.
        queries: Best and worst queries shown.
        items: Gallery images shown for each.

    Returns:
        Path of the page.
    """
    directory.mkdir(parents=True, exist_ok=True)
    summary = evaluation.summary()
    cmc_png = draw_cmc(evaluation.stages)
    name = list(evaluation.stages)[-1]
    environment = Environment(
        loader=PackageLoader("streamreid.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("reid_report.html.j2").render(
        summary=summary,
        stage_titles=STAGE_TITLES,
        cmc_png=base64.b64encode(cmc_png).decode("ascii"),
        sections=_sections(evaluation, name, queries, items),
        calibration=evaluation.calibration.fitted_on or "not known",
    )
    replace_file(directory / "cmc.png", cmc_png)
    replace_file(directory / "report.json", json_bytes(summary))
    replace_file(directory / "report.html", page.encode("utf-8"))
    return directory / "report.html"


def json_bytes(summary: object) -> bytes:
    """A summary as indented JSON with a final newline."""
    return (json.dumps(summary, indent=2) + "\n").encode("utf-8")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def draw_cmc(stages: dict[StageName, Stage]) -> bytes:
    """Draw the CMC curves of all stages, PNG."""
    figure = Figure(figsize=(7.2, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name, stage in stages.items():
        ranks = np.arange(1, min(_CMC_RANKS, len(stage.ranking.cmc)) + 1)
        label = f"{STAGE_TITLES[name]} (mAP {100 * stage.ranking.mean_ap:.1f} %)"
        axes.plot(ranks, 100 * stage.ranking.cmc[: len(ranks)], marker="o", ms=3, label=label)
    axes.set_xlabel("rank")
    axes.set_ylabel("queries with a correct image by this rank, %")
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)  # without it, saving would ask for an interactive back-end
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _sections(
    evaluation: ReidEvaluation, name: StageName, queries: int, items: int
) -> list[_Section]:
    ranking = evaluation.stages[name].ranking
    counted = np.flatnonzero(ranking.first_match > 0)
    order = counted[np.argsort(ranking.average_precision[counted], kind="stable")]
    chosen = {"Worst queries": order[:queries], "Best queries": order[::-1][:queries]}
    return [
        _Section(
            title,
            STAGE_TITLES[name],
            tuple(_row(evaluation, name, int(query), items) for query in rows),
        )
        for title, rows in chosen.items()
    ]


def _row(evaluation: ReidEvaluation, name: StageName, query: int, items: int) -> _Row:
    stage = evaluation.stages[name]
    probability = probability_map(evaluation.calibration)(evaluation.scores.across[query])
    record = evaluation.query.records[query]
    shown = []
    for index in _ranked(evaluation, stage, query)[:items].tolist():
        other = evaluation.gallery.records[index]
        shown.append(
            _Shown(
                name=other.path.name,
                jpeg=_thumbnail(other.path),
                note=f"{float(probability[index]):.2f}",
                correct=other.identity == record.identity,
            )
        )
    return _Row(
        query=_Shown(record.path.name, _thumbnail(record.path)),
        items=tuple(shown),
        average_precision=float(stage.ranking.average_precision[query]),
        first_match=int(stage.ranking.first_match[query]),
    )


def _ranked(evaluation: ReidEvaluation, stage: Stage, query: int) -> Int64Array:
    """Gallery indices as they are ranked for a query, without what the rule removes."""
    record = evaluation.query.records[query]
    gallery = evaluation.gallery.records
    kept = np.array(
        [
            item.identity != JUNK_IDENTITY
            and (item.identity != record.identity or item.camera != record.camera)
            for item in gallery
        ]
    )
    order = np.argsort(stage.distance[query], kind="stable")
    ranked: Int64Array = order[kept[order]]
    return ranked


def _thumbnail(path: Path) -> str:
    buffer = io.BytesIO()
    picture = Image.fromarray(read_rgb(path)).resize(_THUMBNAIL, Image.Resampling.BICUBIC)
    picture.save(buffer, format="JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
