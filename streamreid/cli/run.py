"""`streamreid run`: the main job, and `streamreid stop` and `streamreid status` beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

_CAMERAS = typer.Option(
    Path("cams.yaml"), "--cameras", "-c", help="The configuration.", show_default=True
)


def register(app: typer.Typer) -> None:
    """Add `run`, `status`, `reload` and `stop`."""
    app.command(help=_RUN_HELP)(run)
    app.command(help="Show what a running system does.\n\nExample: streamreid status --json")(
        status
    )
    app.command(help="Read cams.yaml again.\n\nExample: streamreid reload -c cams.yaml")(reload)
    app.command(help="End a running system in order.\n\nExample: streamreid stop -c cams.yaml")(
        stop
    )


_RUN_HELP = """Follow people across the cameras of a file until all files have ended or Ctrl-C.

Example: streamreid run --cameras cams.yaml
"""


def run(
    cameras: Path = _CAMERAS,
    plain: bool = typer.Option(False, "--plain", help="Lines instead of a table."),
) -> None:
    """Run the main job."""
    from streamreid.cli.run_job import run_job

    raise typer.Exit(run_job(cameras, plain=plain))


def status(
    cameras: Path = _CAMERAS,
    as_json: bool = typer.Option(False, "--json", help="Everything, for programs."),
) -> None:
    """Ask the running supervisor."""
    from rich.console import Console

    answer = {**_ask(cameras, "status"), "topology": _health(cameras)}
    console = Console()
    if as_json:
        console.print_json(json.dumps(answer))
        return
    for worker in answer["workers"]:
        crops = worker.get("messages", {}).get("crop", {})
        detail = f", {crops['stored']} crops stored" if crops else ""
        name = worker["name"] if worker["role"] == worker["name"] else f"camera {worker['name']}"
        state = worker["state"]
        if state == "running":  # then the camera has more to say than its process
            state = worker.get("source", "starting" if worker["role"] == "camera" else state)
        console.print(
            f"{name}: {state}, {worker['restarts']} restarts{detail}", markup=False, highlight=False
        )
    for line in [*_latency(answer["latency_s"]), *_notices(answer)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def reload(cameras: Path = _CAMERAS) -> None:
    """Ask the supervisor to read the file again."""
    from rich.console import Console

    Console().print_json(json.dumps(_ask(cameras, "reload")))


def stop(cameras: Path = _CAMERAS) -> None:
    """Ask the supervisor to stop."""
    from rich.console import Console

    _ask(cameras, "stop")
    Console().print("stopping")


def _health(cameras: Path) -> Mapping[str, Any] | None:
    """What the matcher says about times and places; None while it cannot be asked."""
    from streamreid.errors import ControlError

    try:
        return _ask(cameras, "topology.health")
    except ControlError:
        return None


def _latency(quantiles: Mapping[str, float | None]) -> list[str]:
    """How long crops take from capture to their row; nothing before the first."""
    parts = [
        f"{name} {seconds:.2f} s" for name, seconds in quantiles.items() if seconds is not None
    ]
    return [f"crop to row: {', '.join(parts)}"] if parts else []


def _notices(answer: Mapping[str, Any]) -> list[str]:
    """Violations over the whole run, and what an operator should look at."""
    counted = sum(
        worker.get("counters", {}).get("in_two_places", 0)
        for worker in answer["workers"]
        if worker["role"] == "matcher"
    )
    lines = [f"in two places at once: {counted}"]
    health = answer["topology"]
    if health is not None:
        lines += ["transition times are frozen"] if health["frozen"] else []
        lines += [f"warning: {text}" for text in health["warnings"]]
    return lines


def _ask(cameras: Path, verb: str) -> Mapping[str, Any]:
    from streamreid.config.load import load_config
    from streamreid.control import request

    return request(load_config(cameras).resolved_run_dir, verb)
