"""`streamreid config schema`: print the JSON schema of cams.yaml for editors and other programs."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the `config` group to the application."""
    group = typer.Typer(help="Work with cams.yaml.", no_args_is_help=True)
    group.command("schema")(schema)
    app.add_typer(group, name="config")


def schema(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="A page for people instead.")
    ] = False,
) -> None:
    """Print the JSON schema of cams.yaml.

    Example: streamreid config schema > cams.schema.json

    An editor that knows YAML language servers then completes and checks the file when its first
    line reads `# yaml-language-server: $schema=cams.schema.json`.
    """
    from streamreid.config.reference import reference_text
    from streamreid.config.schema import schema_text

    typer.echo(reference_text() if markdown else schema_text(), nl=False)
