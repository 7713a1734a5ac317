"""`streamreid weights`: list what is shipped, show a header, import published checkpoints."""

import json
from pathlib import Path
from typing import Annotated

import typer

_SIZE_EXAMPLE = "384x128"


def register(app: typer.Typer) -> None:
    """Add the `weights` group to the app."""
    group = typer.Typer(no_args_is_help=True, help="Re-identification weights.")
    group.command("list")(list_weights)
    group.command("show")(show)
    group.command("import")(import_checkpoint)
    app.add_typer(group, name="weights")


def list_weights(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the shipped weights.

    Example: streamreid weights list
    """
    from rich.console import Console
    from rich.table import Table

    from streamreid.reid import weight_file, weights

    cards = []
    for name in weights.SHIPPED:
        path = weights.path_of(name)
        card, _, digest = weight_file.read(path)
        cards.append((card, digest, path.stat().st_size))
    if as_json:
        rows = [
            {
                "name": card.name,
                "architecture": card.architecture,
                "input_size": card.input_size,
                "sha256": digest,
                "bytes": size,
                "training_data": card.training_data,
            }
            for card, digest, size in cards
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("name", "architecture", "input", "MB", "seen in training", "sha256")
    for card, digest, size in cards:
        height, width = card.input_size
        seen = "; ".join(card.training_data)
        table.add_row(
            card.name,
            card.architecture,
            f"{height}x{width}",
            f"{size / 1e6:.1f}",
            seen,
            digest[:12],
        )
    console = Console()
    console.print(table)
    console.print("Also: 'imagenet' (no re-identification training), or the path of a file.")


def show(
    weights: Annotated[str, typer.Argument(help="Shipped name or .safetensors file.")],
    card: Annotated[bool, typer.Option("--card", help="Print the whole model card.")] = False,
) -> None:
    """Check a weights file and print its header as JSON.

    Example: streamreid weights show default
    """
    from dataclasses import asdict

    from streamreid.reid import weight_file
    from streamreid.reid.weights import load_model, model_card_text

    if card:
        typer.echo(model_card_text(weights))
        return
    # Loading the whole model checks every tensor against the header, not just the digest.
    model = load_model(weights)
    tensors = sum(p.numel() for p in model.network.parameters())
    typer.echo(
        json.dumps(
            {
                **asdict(model.card),
                "sha256": model.digest,
                "parameters": tensors,
                "format": weight_file.FORMAT,
            },
            indent=2,
        )
    )


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="Torch file of the published QAConv code.")],
    out: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    size: Annotated[str, typer.Option(help="Image size in training, HxW.")] = _SIZE_EXAMPLE,
    final_layer: Annotated[int, typer.Option(min=2, max=4, help="Where the trunk is cut.")] = 3,
    trained_on: Annotated[str, typer.Option(help="Data sets, for the header.")] = "not stated",
    licence: Annotated[str, typer.Option(help="Terms, for the header.")] = "not stated",
) -> None:
    """Turn a published QAConv checkpoint into a .safetensors file.

    Example: streamreid weights import checkpoint.pth.tar out.safetensors --trained-on Market-1501
    """
    import torch

    from streamreid.errors import WeightsError
    from streamreid.reid.reference_checkpoint import read_checkpoint
    from streamreid.reid.weight_file import Calibration, Card
    from streamreid.reid.weights import NORMALISATION, save_model

    if out.suffix != ".safetensors":
        raise WeightsError(f"{out}: the file to write must end in .safetensors")
    input_size = parse_size(size)
    imported = read_checkpoint(checkpoint, input_size=input_size, final_layer=final_layer)
    card = Card(
        name=out.stem,
        architecture=imported.architecture,
        version=imported.version,
        neck_channels=imported.neck_channels,
        map_channels=imported.network.channels,
        input_size=input_size,
        map_size=(imported.head.height, imported.head.width),
        normalisation=NORMALISATION,
        training_data=(trained_on,),
        licence=licence,
        calibration=Calibration(scale=1.0, offset=0.0, fitted_on="not fitted"),
        notes=f"imported from {checkpoint.name}",
    )
    digest = save_model(out, card, imported.network, imported.head, dtype=torch.float32)
    typer.echo(f"wrote {out}: {imported.architecture}, version {imported.version}, {digest}")
    typer.echo("The calibration is not fitted: run `streamreid calibrate` before trusting numbers.")


def parse_size(text: str) -> tuple[int, int]:
    """Read "384x128" as height and width.

    Raises:
        ConfigError: The text has another form.
    """
    from streamreid.errors import ConfigError

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(f"image size {text!r}; write height x width, for example {_SIZE_EXAMPLE}")
    return int(parts[0]), int(parts[1])
