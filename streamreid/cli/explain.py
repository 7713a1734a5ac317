"""`streamreid explain`: why two crops are, or are not, the same person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamreid.reid.matching import Correspondences

_ROWS_SHOWN = 8


def register(app: typer.Typer) -> None:
    """Add `explain` to the application."""
    app.command("explain")(explain)


def explain(
    image_a: Annotated[Path, typer.Argument(help="Crop of a person.", metavar="A.jpg")],
    image_b: Annotated[Path, typer.Argument(help="Crop of a person.", metavar="B.jpg")],
    out: Annotated[
        Path | None, typer.Option(help="Draw both crops with lines and overlays into this file.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="default, qaconv-market, imagenet or a .safetensors file.")
    ] = "default",
    top: Annotated[int, typer.Option(min=1, max=500, help="Pairs of places to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say how alike two crops are and which places match.

    Every place of one crop is compared with every place of the other. The table lists the pairs of
    places that add most to the score; the picture draws them as lines.

    Example: streamreid explain door.jpg lobby.jpg --out why.png
    """
    from streamreid.errors import ConfigError
    from streamreid.evaluation.draw import draw_match
    from streamreid.evaluation.evidence import explain_pairs
    from streamreid.evaluation.features import read_rgb
    from streamreid.evaluation.reid_report import replace_file
    from streamreid.reid.weights import load_model

    if out is not None and (out.suffix.lower() != ".png" or not out.resolve().parent.is_dir()):
        raise ConfigError(f"--out {out}: give a .png file in a folder that exists")
    crops = [read_rgb(path) for path in (image_a, image_b)]
    model = load_model(weights)
    (pair,) = explain_pairs(model, [(crops[0], crops[1])], top=top)
    found = pair.found
    if out is not None:
        names = (image_a.name, image_b.name)
        replace_file(out, _png(draw_match(crops[0], crops[1], pair.drawable, captions=names)))
    facts = _facts(found, pair.probability, model.name)
    if as_json:
        import json

        typer.echo(json.dumps(facts, indent=2))
    else:
        _show(facts, found.height, found.width, out)


def _png(picture: Any) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def _facts(found: "Correspondences", probability: float, weights: str) -> dict[str, Any]:
    """Everything the command says, as JSON-ready values; places are (row, column) from 0."""
    columns = (
        found.query_location,
        found.gallery_location,
        found.correlation,
        found.contribution,
    )
    pairs = [
        {
            "a": list(divmod(int(a), found.width)),
            "b": list(divmod(int(b), found.width)),
            "correlation": round(float(correlation), 4),
            "contribution": round(float(contribution), 4),
        }
        for a, b, correlation, contribution in zip(*columns, strict=True)
    ]
    return {
        "weights": weights,
        "probability": probability,
        "score": found.score,
        "offset": found.offset,
        "grid": [found.height, found.width],
        "correspondences": pairs,
    }


def _show(facts: dict[str, Any], height: int, width: int, out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"probability {facts['probability']:.4f}, score {facts['score']:+.3f} "
        f"(weights {facts['weights']}, {height} x {width} places)",
        highlight=False,
        markup=False,
    )
    table = Table("A (row, column)", "B (row, column)", "correlation", "adds to the score")
    for pair in facts["correspondences"][:_ROWS_SHOWN]:
        table.add_row(
            "{}, {}".format(*pair["a"]),
            "{}, {}".format(*pair["b"]),
            f"{pair['correlation']:.3f}",
            f"{pair['contribution']:+.4f}",
        )
    console.print(table)
    if out is not None:
        console.print(f"picture: {out}", highlight=False, markup=False, soft_wrap=True)
