"""The command line: lists the commands and turns every error into one line and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import typer

from streamreid import __version__
from streamreid.errors import StreamreidError, mask_credentials

COMMANDS = (
    "run",
    "demo",
    "simulate",
    "check",
    "report",
    "eval",
    "explain",
    "config",
    "export",
    "keys",
    "bench",
    "calibrate",
    "identity",
    "topology",
    "train",
    "weights",
)
"""Modules of this package; each adds its commands to the app in `register(app)`."""

EXIT_USAGE = 2
EXIT_BUG = 5
EXIT_INTERRUPTED = 130

_ABOUT = """Follow people across ordinary, uncalibrated cameras and say why a match is believed.

Example: streamreid run --cameras cams.yaml

Exit codes: 0 done, 2 configuration or usage, 3 every source failed, 4 storage, 5 bug.
"""


def build_app() -> typer.Typer:
    """Make the application with every command of `COMMANDS`.

    Registering imports no heavy library; a command imports what it needs when it runs.
    """
    app = typer.Typer(
        name="streamreid",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=_ABOUT)(_options)
    for name in COMMANDS:
        import_module(f"streamreid.cli.{name}").register(app)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no error ever shows a traceback.

    Args:
        argv: Arguments without the program's name; the process's own when None.

    Returns:
        The exit code of architecture.md section 4; 130 when interrupted before a clean drain.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        typer.main.get_command(build_app())(args=arguments, prog_name="streamreid")
    except SystemExit as exit_request:
        return _exit_code(exit_request)
    except StreamreidError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback for users
        _say(_describe_bug(error))
        return EXIT_BUG
    return 0


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"streamreid {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False,
        "--version",
        help="Show the version and exit.",
        is_eager=True,
        callback=_show_version,
    ),
) -> None:
    """Options of the program itself; commands bring their own."""


def _exit_code(exit_request: SystemExit) -> int:
    code = exit_request.code
    if code is None:
        return 0
    return code if isinstance(code, int) else EXIT_USAGE


def _say(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    # Text, not markup: a message may carry [brackets] from a user's file.
    Console(stderr=True, soft_wrap=True).print(Text("error: ", style="bold red") + Text(message))


def _describe_bug(error: Exception) -> str:
    summary = mask_credentials(f"{type(error).__name__}: {error}".splitlines()[0])
    where = _write_bug_log(error)
    hint = f"details are in {where}" if where else "the details could not be written to a file"
    return f"unexpected {summary}; this is a bug in streamreid, {hint}"


def _write_bug_log(error: Exception) -> Path | None:
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    text = mask_credentials("".join(traceback.format_exception(error)))
    try:
        path = Path(base).expanduser() / "streamreid" / "last-error.log"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as log:
            log.write(text)
    except (OSError, RuntimeError):
        # RuntimeError: an account without a home folder.
        return None
    return path


if __name__ == "__main__":
    sys.exit(main())
