"""How well shipped weights and engine do on the demo, with its features and with wrong ones."""

from pathlib import Path

import numpy as np
import pytest

from streamreid.cli.demo_job import SHEET, STORE
from streamreid.cli.demo_score import score_scene
from streamreid.cli.main import main
from streamreid.config import load_config, parse_config
from streamreid.evaluation.clustering import cluster_figures
from streamreid.gallery.build import build_scorer
from streamreid.runtime.matcher_setup import build_gallery, engine_settings
from streamreid.simulation.demo_scene import demo_scene
from streamreid.simulation.recording import cameras_yaml
from streamreid.simulation.truth import read_truth
from streamreid.types import UInt8Array
from tests.cli.demo_crops import decide, demo_crops
from tests.cli.replay_store import decide_again

GOOD, CHANCE = 0.8, 0.4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_perfect_crops_give_the_right_people_and_shuffled_ones_do_not() -> None:
    """In this process: crops at the true boxes, the shipped weights, the engine of `run`."""
    text = cameras_yaml(demo_scene())
    config = parse_config(text.encode(), name="cams.yaml", folder=Path(), environ={})
    scorer = build_scorer("default", device="cpu", max_crops=200, features="openvino-fp32")
    settings = engine_settings(config, scorer)
    crops = demo_crops()
    features = [scorer.embed([crop.image]) for crop in crops]
    assert decide(crops, features, scorer, settings).pair_f1 >= GOOD
    order = np.random.default_rng(0).permutation(len(crops))
    shuffled = [features[place] for place in order]
    assert decide(crops, shuffled, scorer, settings).pair_f1 < CHANCE


def _somebody_else(pictures: list[UInt8Array]) -> list[UInt8Array]:
    order = np.random.default_rng(0).permutation(len(pictures))
    return [pictures[place] for place in order]


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(900)
def test_the_whole_demo_finds_its_people(tmp_path: Path) -> None:
    """Real video, real workers, the motion detector; then the same decisions on wrong pictures."""
    out = tmp_path / "demo"
    assert main(["demo", "--detector", "motion", "--plain", "--out", str(out)]) == 0
    truth = read_truth(out)
    score = score_scene(out / STORE, truth)
    assert score.pair_f1 >= GOOD
    assert score.tracking.single.idf1 > 0.85
    assert (out / SHEET).stat().st_size > 100_000
    config = load_config(out / "cams.yaml")
    scorer = build_gallery(config)
    settings = engine_settings(config, scorer)
    held = decide_again(out / STORE, scorer, settings, _somebody_else)
    tracks = [track for track, person in score.person_of.items() if person and track in held]
    figures = cluster_figures(
        [score.person_of[track] for track in tracks], [held[track] for track in tracks]
    )
    assert figures.pair_f1 < CHANCE
