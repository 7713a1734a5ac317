"""`streamreid export`: results as SQLite, CSV, Parquet, MOT text or AI-City text; and backups."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """What to write."""

    SQLITE = "sqlite"
    CSV = "csv"
    PARQUET = "parquet"
    MOT = "mot"
    AI_CITY = "ai-city"
    BACKUP = "backup"


class IdColumn(StrEnum):
    """What the id column of MOT text holds."""

    IDENTITY = "identity"
    TRACK = "track"


_HELP = """Write the results of a store in another format, also while a run is writing to it.

sqlite: a compact copy of one file, without feature maps. backup: an exact copy.
csv, parquet: one file per table in the folder OUTPUT. mot: one text file per camera in the folder
OUTPUT. ai-city: one text file for all cameras.

Example: streamreid export --format csv results/

Example: streamreid export --format mot --fps 25 --cameras cams.yaml mot/
"""


def register(app: typer.Typer) -> None:
    """Add the `export` command."""
    app.command(help=_HELP)(export)


def export(
    output: Annotated[Path, typer.Argument(help="File or folder to write.")],
    wanted: Annotated[Format, typer.Option("--format", "-f", help="What to write.")],
    cameras: Annotated[
        Path, typer.Option("--cameras", "-c", help="Configuration that names the store.")
    ] = Path("cams.yaml"),
    store: Annotated[
        Path | None, typer.Option("--store", "-s", help="The store itself, instead of --cameras.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="mot, ai-city: frame rate that turns capture times into frame numbers; without it "
            "the moments with a detection are counted."
        ),
    ] = None,
    ids: Annotated[
        IdColumn, typer.Option(help="mot: what the id column holds.")
    ] = IdColumn.IDENTITY,
    pictures: Annotated[
        bool, typer.Option(help="sqlite: with pictures and vectors of people.")
    ] = True,
) -> None:
    """Write the results of a store in another format."""
    from rich.console import Console

    from streamreid.store.copies import backup, clean_copy

    path, origins_s = _find(cameras, store)
    if wanted is Format.BACKUP:
        backup(path, output)
        files = [output]
    elif wanted is Format.SQLITE:
        clean_copy(path, output, pictures=pictures)
        files = [output]
    elif wanted in (Format.CSV, Format.PARQUET):
        files = _export_tables(path, output, wanted)
    else:
        files = _export_text(path, output, wanted, fps=fps, ids=ids, origins_s=origins_s)
    console = Console()
    for file in files:
        console.print(str(file), markup=False, highlight=False, soft_wrap=True)


def _find(cameras: Path, store: Path | None) -> tuple[Path, dict[str, float]]:
    """The store, and the capture time of each file camera's first frame where it is configured."""
    if store is not None and not cameras.is_file():
        return store, {}
    from streamreid.config import load_config

    config = load_config(cameras, need_secrets=False)
    origins_s = {
        name: camera.start_time_s
        for name, camera in config.cameras.items()
        if camera.start_time_s is not None
    }
    return store or config.store.path, origins_s


def _export_tables(path: Path, folder: Path, wanted: Format) -> list[Path]:
    from rich.console import Console
    from rich.progress import Progress

    from streamreid.store.export_tables import TABLES, export_csv, export_parquet
    from streamreid.store.reader import open_reader

    write = export_csv if wanted is Format.CSV else export_parquet
    with open_reader(path) as reader, Progress(console=Console(stderr=True)) as bar:
        tasks = {name: bar.add_task(name, total=None, visible=False) for name in TABLES}
        return write(
            reader,
            folder,
            progress=lambda name, rows: bar.update(tasks[name], advance=rows, visible=True),
        )


def _export_text(
    path: Path,
    output: Path,
    wanted: Format,
    *,
    fps: float | None,
    ids: IdColumn,
    origins_s: dict[str, float],
) -> list[Path]:
    from streamreid.store.export_text import FrameNumbers, export_ai_city, export_mot
    from streamreid.store.reader import open_reader
    from streamreid.types import CameraId

    frames = FrameNumbers(fps, {CameraId(name): at_s for name, at_s in origins_s.items()})
    with open_reader(path) as reader:
        if wanted is Format.AI_CITY:
            return [export_ai_city(reader, output, frames=frames)]
        return export_mot(
            reader, output, frames=frames, ids="track" if ids is IdColumn.TRACK else "identity"
        )
