"""`streamreid identity`: look at people, and correct who is who."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamreid.config.models import Config

_CAMERAS = typer.Option("--cameras", "-c", help="The cams.yaml of the run.")
Cameras = Annotated[Path, _CAMERAS]
Identity = Annotated[int, typer.Argument(help="Number of the identity.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Actor = Annotated[str, typer.Option("--by", help="Your name, for the ledger.")]
_DEFAULT = Path("cams.yaml")


def register(app: typer.Typer) -> None:
    """Add the `identity` group to the application."""
    group = typer.Typer(help="People over all cameras: look, and correct.", no_args_is_help=True)
    group.command("list")(list_identities)
    for command in (show, merge, split, confirm, reject, undo):
        group.command(command.__name__)(command)
    app.add_typer(group, name="identity")


def list_identities(cameras: Cameras = _DEFAULT, as_json: AsJson = False) -> None:
    """List everybody who was seen.

    Example: streamreid identity list --cameras cams.yaml
    """
    from streamreid.store.reader import open_reader

    with open_reader(_config(cameras).store.path) as reader:
        people = reader.identities()
    if as_json:
        _say_json(
            [
                {
                    "identity": person.identity_id,
                    "status": person.status,
                    "label": person.label,
                    "tracks": [track.track for track in person.tracks],
                    "created_at": person.created_at_s,
                    "last_seen_at": person.last_seen_at_s,
                }
                for person in people
            ]
        )
        return
    _say_table(
        "identities",
        ("id", "status", "label", "tracks", "first seen", "last seen"),
        [
            (
                str(person.identity_id),
                person.status,
                person.label or "",
                str(len(person.tracks)),
                _time(person.created_at_s),
                _time(person.last_seen_at_s),
            )
            for person in people
        ],
    )


def show(identity: Identity, cameras: Cameras = _DEFAULT, as_json: AsJson = False) -> None:
    """Show where a person was, and why each track is believed to be them.

    Example: streamreid identity show 7 --cameras cams.yaml
    """
    from streamreid.errors import AssociationError
    from streamreid.store.reader import open_reader

    with open_reader(_config(cameras).store.path) as reader:
        tracks = [track for track in reader.tracks() if track.identity_id == identity]
        rows = {track.track: reader.decisions(track.track) for track in tracks}
    if not tracks:
        raise AssociationError(
            f"identity {identity} has no tracks (it may be part of another one by now); "
            "see 'streamreid identity list'"
        )
    entries = [
        {
            "track": track.track,
            "camera": track.camera_id,
            "from": track.started_at_s,
            "to": track.ended_at_s,
            "decisions": [_plain(row) for row in rows[track.track]],
        }
        for track in tracks
    ]
    if as_json:
        _say_json({"identity": identity, "tracks": entries})
        return
    _say_table(
        f"identity {identity}",
        ("track", "camera", "from", "to", "reason", "probability", "runner-up", "by"),
        [
            (
                str(track.track),
                track.camera_id,
                _time(track.started_at_s),
                _time(track.ended_at_s),
                rows[track.track][-1].reason if rows[track.track] else "",
                f"{100 * rows[track.track][-1].probability:.1f} %" if rows[track.track] else "",
                _runner_up(rows[track.track][-1]) if rows[track.track] else "",
                rows[track.track][-1].actor if rows[track.track] else "",
            )
            for track in tracks
        ],
    )


def merge(
    identity: Identity,
    other: Annotated[int, typer.Argument(help="The identity that becomes part of the first.")],
    cameras: Cameras = _DEFAULT,
    by: Actor = "operator",
) -> None:
    """Two identities are one person.

    Example: streamreid identity merge 7 12 --cameras cams.yaml
    """
    _correct(cameras, "merge", {"identity": identity, "other": other, "actor": by})


def split(
    identity: Identity,
    tracks: Annotated[list[int], typer.Argument(help="Tracks that are somebody else.")],
    cameras: Cameras = _DEFAULT,
    by: Actor = "operator",
) -> None:
    """Some tracks of an identity are another person; they get a new identity.

    Example: streamreid identity split 7 31 35 --cameras cams.yaml
    """
    _correct(cameras, "split", {"identity": identity, "tracks": tracks, "actor": by})


def confirm(
    identity: Identity,
    tracks: Annotated[
        list[int] | None, typer.Argument(help="Only these tracks; all when none is named.")
    ] = None,
    cameras: Cameras = _DEFAULT,
    by: Actor = "operator",
) -> None:
    """The tracks of an identity are right and stay with it.

    Example: streamreid identity confirm 7 --cameras cams.yaml
    """
    _correct(cameras, "confirm", {"identity": identity, "tracks": tracks or [], "actor": by})


def reject(
    identity: Identity,
    other: Annotated[int, typer.Argument(help="The identity that is somebody else.")],
    cameras: Cameras = _DEFAULT,
    by: Actor = "operator",
) -> None:
    """Two identities are not one person, whatever they look like.

    Example: streamreid identity reject 7 12 --cameras cams.yaml
    """
    _correct(cameras, "reject", {"identity": identity, "other": other, "actor": by})


def undo(identity: Identity, cameras: Cameras = _DEFAULT, by: Actor = "operator") -> None:
    """Take back the last correction about an identity.

    Example: streamreid identity undo 7 --cameras cams.yaml
    """
    _correct(cameras, "undo", {"identity": identity, "actor": by})


def _correct(cameras: Path, verb: str, arguments: dict[str, Any]) -> None:
    """Ask the running matcher, or change the store at rest, and say what changed."""
    from streamreid.control import request, socket_path

    config = _config(cameras)
    if socket_path(config.resolved_run_dir, "matcher").exists():
        answer: Mapping[str, Any] = request(config.resolved_run_dir, f"identity.{verb}", arguments)
    else:
        answer = _correct_at_rest(config, verb, arguments)
    moved = answer["tracks"]
    lines = [
        f"track {track}: identity {holder} ({answer['reasons'][track]})"
        for track, holder in moved.items()
    ]
    _say(lines or ["nothing had to change"])


def _correct_at_rest(config: "Config", verb: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Change a store that no matcher uses; its lock keeps a run from starting meanwhile."""
    from streamreid.clock import SystemClock
    from streamreid.errors import AssociationError
    from streamreid.runtime.corrections import command_of, correct_at_rest
    from streamreid.store.rows import RunInfo
    from streamreid.store.writer import open_store
    from streamreid.types import CameraId

    if not config.store.path.exists():
        raise AssociationError(f"there is no store at '{config.store.path}'; run streamreid first")
    disjoint = frozenset(
        (CameraId(one), CameraId(other)) for one, other in config.topology.disjoint
    )
    command = command_of(f"identity.{verb}", arguments)
    with open_store(
        config.store.path, run=RunInfo(), clock=SystemClock(), owner=f"identity {verb}"
    ) as writer:
        return correct_at_rest(writer, command, disjoint, at_s=SystemClock().now_s())


def _config(cameras: Path) -> "Config":
    from streamreid.config.load import load_config

    return load_config(cameras)


def _plain(row: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(row)


def _runner_up(row: Any) -> str:
    if row.runner_up_identity_id is None:
        return ""
    chance = row.runner_up_probability
    return f"{row.runner_up_identity_id}" + ("" if chance is None else f" ({100 * chance:.1f} %)")


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _say(lines: list[str]) -> None:
    from rich.console import Console

    for line in lines:
        Console(soft_wrap=True).print(line, highlight=False, markup=False)


def _say_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))


def _say_table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
