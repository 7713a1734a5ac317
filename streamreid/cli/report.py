"""`streamreid report`: one self-contained HTML page about a store."""

from pathlib import Path

import typer

_STORE = typer.Argument(..., help="The database of a run.")
_OUT = typer.Option(Path("report.html"), "--out", "-o", help="The page to write.")

_HELP = """Draw a page that shows every person over cameras and time, and why each match was made.

The page is one file: pictures and drawings are inside, it makes no request, and it opens anywhere.

Example: streamreid report streamreid.sqlite --out report.html
"""


def register(app: typer.Typer) -> None:
    """Add `report`."""
    app.command(help=_HELP)(report)


def report(
    store: Path = _STORE,
    out: Path = _OUT,
    people: int = typer.Option(200, "--people", min=1, help="Most people to show."),
    pictures: int = typer.Option(4, "--pictures", min=0, max=20, help="Most crops per sighting."),
    evidence: int = typer.Option(
        6, "--evidence", min=0, max=100, help="Matches to explain by a drawing; 0 is faster."
    ),
    weights: str | None = typer.Option(
        None, "--weights", help="Weights for the drawings, if the run used its own."
    ),
) -> None:
    """Write the report."""
    from rich.console import Console

    write_report(store, out, people=people, pictures=pictures, evidence=evidence, weights=weights)
    Console().print(f"wrote {out}", markup=False, highlight=False, soft_wrap=True)


def write_report(
    store: Path,
    out: Path,
    *,
    people: int = 200,
    pictures: int = 4,
    evidence: int = 6,
    weights: str | None = None,
) -> None:
    """Draw the report of a store into a file.

    Args:
        store: The database.
        out: The page; readable by its owner only, because it shows people.
        people: Most people to show.
        pictures: Most crops per sighting.
        evidence: Strongest matches to explain by a drawing.
        weights: Weights for those; default: the shipped ones that the run used. Without either
            the page says so instead.

    Raises:
        WeightsError: The weights cannot be loaded.
        StoreError: If the store cannot be read or the page cannot be written.
    """
    from streamreid.cli.private_file import write_private
    from streamreid.cli.report_data import collect
    from streamreid.cli.report_evidence import draw_evidence, strongest_links, weights_of_run
    from streamreid.cli.report_page import render_report
    from streamreid.store.reader import open_reader

    with open_reader(store) as reader:
        data = collect(reader, max_people=people, pictures_per_sighting=pictures)
    links = strongest_links(data, evidence)
    chosen = (weights or weights_of_run(data)) if links else None
    drawings = draw_evidence(links, chosen) if chosen else ()
    unexplained = bool(links) and chosen is None
    write_private(out, render_report(data, drawings, unexplained=unexplained).encode("utf-8"))
