"""`streamreid eval`: the group of evaluation commands, one file each."""

from importlib import import_module
from importlib.util import find_spec

import typer

MEMBERS = ("eval_reid", "eval_stream", "eval_tracks")
"""Modules of this package; each adds its command to the group in `register(group)`."""


def register(app: typer.Typer) -> None:
    """Add the `eval` group with its commands to the application."""
    group = typer.Typer(help="Measure accuracy on labelled data.", no_args_is_help=True)
    for member in MEMBERS:
        if find_spec(f"streamreid.cli.{member}") is not None:
            import_module(f"streamreid.cli.{member}").register(group)
    app.add_typer(group, name="eval")
