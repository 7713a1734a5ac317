"""`streamreid calibrate`: fit the match probability to a site, from what it has seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamreid.config.models import Config
    from streamreid.evaluation.site import SiteTrack
    from streamreid.gallery.scorer import Scorer
    from streamreid.store.reader import StoreReader


def register(app: typer.Typer) -> None:
    """Add the `calibrate` command to the application."""
    app.command("calibrate")(calibrate)


def calibrate(
    cameras: Annotated[
        Path, typer.Option("--cameras", "-c", help="The cams.yaml of the run.")
    ] = Path("cams.yaml"),
    out: Annotated[
        Path | None, typer.Option(help="Where to write; by default next to the store.")
    ] = None,
) -> None:
    """Refit the calibration from people who were side by side, who are surely different people.

    The next `streamreid run` on this store uses the result; delete the file to go back.

    Example: streamreid calibrate --cameras cams.yaml
    """
    from rich.console import Console

    from streamreid.config.coefficients import (
        shipped_coefficients,
        site_file,
        write_coefficients,
    )
    from streamreid.config.load import load_config
    from streamreid.evaluation.site import refit_offset, side_by_side, stranger_logits
    from streamreid.gallery.build import build_scorer
    from streamreid.store.reader import open_reader

    config = load_config(cameras)
    with open_reader(config.store.path) as reader:
        # Nothing is embedded here, so no back-end has to be measured first.
        scorer = build_scorer(
            config.matcher.weights,
            device=config.matcher.device,
            max_crops=20_000,
            features="torch-fp32",
        )
        tracks = _fill(reader, scorer, config)
        found = scorer.calibration
        fitted = shipped_coefficients(
            config.matcher.weights,
            scorer.weights_digest,
            slope=found.scale if found else 1.0,
            offset=found.offset if found else 0.0,
        )
        strangers = stranger_logits(scorer, side_by_side(tracks), fitted)
    refitted = refit_offset(fitted, strangers, config.store.path.name)
    path = out or site_file(config.store.path)
    write_coefficients(path, refitted)
    Console(soft_wrap=True).print(f"wrote {path}: {refitted.fitted_on}", highlight=False)


def _fill(reader: "StoreReader", scorer: "Scorer", config: "Config") -> "list[SiteTrack]":
    """Put the stored crops into the scorer, at most four a track."""
    import numpy as np

    from streamreid.association.constraints import Span
    from streamreid.evaluation.site import SiteTrack
    from streamreid.gallery.scorer import Embeddings, GalleryEntry

    known = set(config.camera_ids)
    found = []
    for track in reader.tracks():
        if track.camera_id not in known:
            continue
        entries = []
        for crop in reader.crops(track.track, limit=4):
            features = reader.features(crop.key)
            if features is None:
                continue
            feature_map, vector = features
            scorer.insert(
                [GalleryEntry(crop.key, track.camera_id, track.track, crop.captured_at_s)],
                Embeddings(
                    (feature_map,), np.frombuffer(vector, "<f2").astype(np.float32)[None, :]
                ),
            )
            entries.append(crop.key)
        span = Span(track.track, track.camera_id, track.started_at_s, track.ended_at_s)
        found.append(SiteTrack(span, tuple(entries)))
    return found
