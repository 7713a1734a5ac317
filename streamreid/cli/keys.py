"""`streamreid keys`: make, list and revoke the keys of encrypted connections."""

from pathlib import Path

import typer

_FOLDER = typer.Argument(help="Folder of the keys; named in cams.yaml as transport.curve.")
_NAME = typer.Argument(help="Name of the other machine.")


def register(app: typer.Typer) -> None:
    """Add the `keys` group to the application."""
    group = typer.Typer(help="Keys for cameras on other machines.", no_args_is_help=True)
    group.command("create")(create)
    group.command("add")(add)
    group.command("revoke")(revoke)
    group.command("list")(list_names)
    app.add_typer(group, name="keys")


def create(folder: Path = _FOLDER) -> None:
    """Make the keys of a new installation.

    Example: streamreid keys create keys
    """
    from streamreid.transport.keyring import create_keyring

    create_keyring(folder)
    _say(f"made the keys of the matcher and of local cameras in '{folder}'")
    _say(f"set in cams.yaml:  transport: {{curve: {folder}}}")


def add(folder: Path = _FOLDER, name: str = _NAME) -> None:
    """Make keys for the cameras of another machine and allow them.

    Example: streamreid keys add keys garage
    """
    from streamreid.transport.keyring import add_host

    host = add_host(folder, name)
    _say(f"copy '{host}' to that machine over a safe way, then delete it here")
    _say("set there:  transport: {curve: FOLDER}")


def revoke(folder: Path = _FOLDER, name: str = _NAME) -> None:
    """Refuse a machine from now on; a connection that it has is cut within seconds.

    Example: streamreid keys revoke keys garage
    """
    from streamreid.transport.keyring import revoke as revoke_key

    revoke_key(folder, name)
    _say(f"'{name}' is refused from now on")


def list_names(
    folder: Path = _FOLDER,
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Show who may connect.

    Example: streamreid keys list keys --json
    """
    import json

    from streamreid.transport.keyring import host_names

    names = host_names(folder)
    if as_json:
        typer.echo(json.dumps(names))
        return
    for name in names:
        _say(name)


def _say(text: str) -> None:
    from rich.console import Console

    Console().print(text, markup=False, highlight=False, soft_wrap=True)
