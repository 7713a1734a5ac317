"""Exit codes and messages of the command line; no traceback reaches a user."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from streamreid.cli import main as cli
from streamreid.errors import ConfigError, SourceError, StoreError, StreamreidError


def run_failing(error: BaseException, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """Run a command that fails; the application itself is the real one."""
    app = cli.build_app()

    @app.command("fail")
    def fail() -> None:
        raise error

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(cli, "build_app", lambda: app)
    return cli.main(["fail"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("cams.yaml:1:1: no"), 2),
        (SourceError("every camera failed"), 3),
        (StoreError("cannot write"), 4),
        (StreamreidError("odd"), 5),
        (ValueError("a mistake"), 5),
        (KeyboardInterrupt(), 130),
        (typer.Exit(3), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_failing(error, monkeypatch, tmp_path) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err


def test_a_bug_leaves_its_details_in_a_file_without_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RuntimeError("rtsp://user:Zq7@h/1 broke [bold]here")
    run_failing(error, monkeypatch, tmp_path)
    log = tmp_path / "streamreid" / "last-error.log"
    shown = capsys.readouterr().err
    assert str(log) in shown
    assert "[bold]here" in shown
    assert "Traceback" in log.read_text()
    assert "Zq7" not in shown + log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["x"], 2)])
def test_usage(arguments: list[str], code: int) -> None:
    assert cli.main(arguments) == code


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "schema"]) == 0
    assert capsys.readouterr().out.startswith("{\n")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from streamreid.cli.main import main; main(['--help']); "
        "heavy = {'torch', 'av', 'cv2', 'numpy', 'ultralytics', 'pydantic', 'zmq', 'polars'}; "
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    group = typer.main.get_command(cli.build_app())
    names = sorted(getattr(group, "commands", {}))
    assert "config" in names
    for name in names:
        command = getattr(group, "commands")[name]  # noqa: B009 - the class is typer's own
        if not hasattr(command, "commands"):
            assert cli.main([name, "--help"]) == 0
            assert "Example" in capsys.readouterr().out, name
