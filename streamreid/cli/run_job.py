"""What `streamreid run` and `streamreid demo` share: start the system, show it, sum it up."""

import sys
from pathlib import Path

from rich.console import Console
from rich.live import Live

from streamreid.cli.live_table import LiveView, draw, plain, summary
from streamreid.clock import SystemClock
from streamreid.config.load import load_config
from streamreid.config.models import Config
from streamreid.runtime.launch import build_supervisor, plan_run_detector
from streamreid.runtime.lock import lock_run
from streamreid.runtime.logs import Emit, LogWriter
from streamreid.runtime.metrics import Publisher, serve_metrics
from streamreid.runtime.status import RunStatus

_LINE_EVERY_S = 5.0


def run_job(config_path: Path, *, plain: bool = False) -> int:
    """Run the main job of a configuration to its end.

    Args:
        config_path: cams.yaml.
        plain: Lines instead of a live table, as always when standard output is no terminal.

    Returns:
        The exit code of the run.

    Raises:
        ConfigError: The configuration cannot be used.
        ControlError: Another run uses the same folder.
    """
    config = load_config(config_path)
    console = Console()
    plan = plan_run_detector(config, lambda line: console.print(line, markup=False))
    found = plan.weights.name if plan.weights is not None else "no weights"
    console.print(f"detector: {plan.kind} ({plan.backend or found})", highlight=False)
    with (
        lock_run(config.resolved_run_dir, f"streamreid run --cameras {config_path}"),
        serve_metrics(config.metrics.port) as publisher,
    ):
        if plain or not console.is_terminal:
            return _run_plain(config_path, config, console, publisher)
        return _run_live(config_path, config, console, publisher)


def _run_live(config_path: Path, config: Config, console: Console, publisher: Publisher) -> int:
    clock, view = SystemClock(), LiveView()
    with Live(console=console, auto_refresh=False, redirect_stderr=True) as live:

        def on_tick(status: RunStatus) -> None:
            publisher.publish(status)
            live.update(draw(view.lines(status, clock.monotonic_s()), status), refresh=True)

        emit = _emit(config, live=True)
        with build_supervisor(
            config_path, config, clock=clock, emit=emit, on_tick=on_tick
        ) as supervisor:
            code = supervisor.run()
        on_tick(supervisor.status())
    console.print(summary(supervisor.status()), highlight=False)
    return code


def _run_plain(config_path: Path, config: Config, console: Console, publisher: Publisher) -> int:
    clock, view = SystemClock(), LiveView()
    due_s = clock.monotonic_s()

    def on_tick(status: RunStatus) -> None:
        nonlocal due_s
        publisher.publish(status)
        now_s = clock.monotonic_s()
        if now_s >= due_s:
            due_s = now_s + _LINE_EVERY_S
            console.print(plain(view.lines(status, now_s), status), highlight=False, soft_wrap=True)

    emit = _emit(config, live=False)
    with build_supervisor(
        config_path, config, clock=clock, emit=emit, on_tick=on_tick
    ) as supervisor:
        code = supervisor.run()
    console.print(plain(view.lines(supervisor.status(), clock.monotonic_s()), supervisor.status()))
    console.print(summary(supervisor.status()), highlight=False)
    return code


def _emit(config: Config, *, live: bool) -> Emit:
    style = config.logging.format
    if style == "auto":
        style = "text" if live or sys.stderr.isatty() else "json"
    return LogWriter(None, style=style, level=config.logging.level, now_s=SystemClock().now_s)
