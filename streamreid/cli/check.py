"""`streamreid check`: is the configuration right, does every camera answer, what does it show?"""

from pathlib import Path
from typing import Annotated

import typer

_HELP = """Check a configuration and really open every camera: one picture each, with detections.

Exit code 0 when every camera answers, 3 when one does not, 2 when the file is wrong, 4 when the
store cannot be written.

Example: streamreid check --cameras cams.yaml
"""


def register(app: typer.Typer) -> None:
    """Add the `check` command."""
    app.command(help=_HELP)(check)


def check(
    cameras: Annotated[Path, typer.Option("--cameras", "-c", help="The configuration.")] = Path(
        "cams.yaml"
    ),
    sheet: Annotated[
        Path, typer.Option("--sheet", help="Where the pictures go (PNG, readable by you only).")
    ] = Path("check.png"),
    wait: Annotated[
        float, typer.Option(min=1.0, max=600.0, help="Longest wait for a camera, seconds.")
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
) -> None:
    """Check a configuration and really open every camera."""
    from streamreid.cli.check_job import run_check

    raise typer.Exit(run_check(cameras, sheet=sheet, wait_s=wait, as_json=as_json))
