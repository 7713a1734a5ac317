"""What the `eval` commands have in common: options, and figures as JSON."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Root = Annotated[Path, typer.Option(help="Folder of the data set.")]
Weights = Annotated[
    str, typer.Option(help="default, qaconv-market, imagenet or a .safetensors file.")
]
Query = Annotated[
    str | None, typer.Option(help="Folder or .txt list of the queries, instead of the split.")
]
Gallery = Annotated[
    str | None, typer.Option(help="Folder or .txt list of the gallery, instead of the split.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this file; - is stdout.")
]
CLOCK_HELP = "Clock file: camera,sequence,offset_frames."


def check_json_file(path: Path | None) -> None:
    """Refuse a file that cannot be written before minutes of work are spent.

    Raises:
        ConfigError: Its folder does not exist.
    """
    from streamreid.errors import ConfigError

    if path is not None and not is_stdout(path) and not path.resolve().parent.is_dir():
        raise ConfigError(f"--json {path}: its folder does not exist; create it first")


def is_stdout(path: Path | None) -> bool:
    """Whether the figures are to be all of standard output."""
    return path is not None and str(path) == "-"


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures as indented JSON, if that was asked for.

    Raises:
        StoreError: The file cannot be written.
    """
    from streamreid.cli.private_file import write_private

    if path is None:
        return
    text = json.dumps(figures, indent=2) + "\n"
    if is_stdout(path):
        typer.echo(text, nl=False)
    else:
        write_private(path, text.encode("utf-8"))
