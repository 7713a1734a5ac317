"""`streamreid calibrate` on a store with real feature maps: it refits, and the next run obeys."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamreid.association.constraints import Span
from streamreid.cli.main import main
from streamreid.config.coefficients import read_coefficients, shipped_coefficients, site_file
from streamreid.config.load import load_config
from streamreid.evaluation.site import QUANTILE, SiteTrack, side_by_side, stranger_logits
from streamreid.gallery.build import build_scorer
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import GalleryEntry
from streamreid.runtime.matcher_setup import build_engine, engine_settings
from streamreid.store import Batch, RunInfo, open_store
from streamreid.types import CameraId, CropKey, TrackId
from tests.cli.demo_crops import TrueCrop, demo_crops
from tests.store.builders import INCARNATION, ManualClock, crop_row, track_end

RUN = RunInfo("config", "weights", {"streamreid": "0"}, {"threads": 1})


@pytest.fixture(scope="module")
def people() -> list[TrueCrop]:
    """One crop of every walk of the demo scene: seven people in each of four cameras."""
    return list({crop.walk: crop for crop in demo_crops()}.values())


@pytest.fixture(scope="module")
def scorer() -> LocalScorer:
    return build_scorer("default", device="cpu", max_crops=64, features="torch-fp32")


def site(folder: Path, people: list[TrueCrop], scorer: LocalScorer) -> tuple[Path, list[SiteTrack]]:
    """A site that saw all people of a camera side by side, as a run leaves it."""
    names = sorted({crop.walk.camera_id for crop in people})
    cams = folder / "cams.yaml"
    cams.write_text(
        "streamreid: 1\ncameras:\n"
        + "".join(f"  {name}: {{url: {name}.mp4}}\n" for name in names)
        + "store: {path: site.sqlite}\nmatcher: {features: torch-fp32, device: cpu}\n"
    )
    found = []
    with open_store(folder / "site.sqlite", run=RUN, clock=ManualClock()) as store:
        for name in names:
            (folder / f"{name}.mp4").touch()
            store.register_camera(name, url=f"{name}.mp4", width=640, height=360)
            store.register_stream(name, INCARNATION)
        for seq, crop in enumerate(people):
            camera = CameraId(crop.walk.camera_id)
            embedded = scorer.embed([crop.image])
            store.track_key(camera, INCARNATION, TrackId(seq + 1), 99.0)
            row = replace(
                crop_row(store, seq, track=seq + 1, at_s=100.0, camera=camera),
                feature_map=embedded.maps[0],
                vector=embedded.vectors[0].astype("<f2").tobytes(),
                weights_digest=scorer.weights_digest,
            )
            end = track_end(store, seq, track=seq + 1, at_s=110.0, camera=camera)
            store.commit(Batch(crops=(row,), ends=(end,)))
            scorer.insert([GalleryEntry(row.key, camera, row.track, 100.0)], embedded)
            found.append(SiteTrack(Span(row.track, camera, 99.0, 110.0), (CropKey(row.key),)))
    return cams, found


@pytest.mark.slow
def test_strangers_of_the_site_look_as_little_alike_as_those_of_the_fit(
    people: list[TrueCrop],
    scorer: LocalScorer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cams, tracks = site(tmp_path, people, scorer)
    config = load_config(cams)
    shipped = shipped_coefficients("default", scorer.weights_digest)
    assert engine_settings(config, scorer).calibration_offset == shipped.calibration_offset

    assert main(["calibrate", "--cameras", str(cams)]) == 0
    assert "pairs side by side" in capsys.readouterr().out
    refitted = read_coefficients(site_file(config.store.path))
    assert abs(refitted.calibration_offset - shipped.calibration_offset) > 0.1
    assert replace(
        refitted, calibration_offset=shipped.calibration_offset, fitted_on=shipped.fitted_on
    ) == replace(shipped)
    logits = stranger_logits(scorer, side_by_side(tracks), refitted)
    assert np.quantile(logits, QUANTILE) == pytest.approx(shipped.stranger_logit, abs=0.05)

    settings = engine_settings(config, scorer)
    assert settings.calibration_offset == refitted.calibration_offset
    with open_store(config.store.path, run=RUN, clock=ManualClock()) as store:
        engine = build_engine(config, scorer, store)
        engine.tick(105.0)
        rows = engine.close(200.0).decisions
    assert {row.track for row in rows} == {track.span.track for track in tracks}
    assert engine.violations == 0


@pytest.mark.slow
def test_too_few_people_side_by_side_are_refused(
    people: list[TrueCrop],
    scorer: LocalScorer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cams, _ = site(tmp_path, people[:5], scorer)
    assert main(["calibrate", "--cameras", str(cams)]) == 2
    assert "at least 50 are needed" in " ".join(capsys.readouterr().err.split())
    assert not site_file(load_config(cams).store.path).exists()
