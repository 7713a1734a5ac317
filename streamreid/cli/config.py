"""`streamreid config schema`: print the JSON schema of cams.yaml for editors and other programs."""

import typer


def register(app: typer.Typer) -> None:
    """Add the `config` group to the application."""
    group = typer.Typer(help="Work with cams.yaml.", no_args_is_help=True)
    group.command("schema")(schema)
    app.add_typer(group, name="config")


def schema() -> None:
    """Print the JSON schema of cams.yaml.

    Example: streamreid config schema > cams.schema.json

    An editor that knows YAML language servers then completes and checks the file when its first
    line reads `# yaml-language-server: $schema=cams.schema.json`.
    """
    from streamreid.config.schema import schema_text

    typer.echo(schema_text(), nl=False)
