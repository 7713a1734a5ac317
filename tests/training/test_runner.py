"""A whole run on made-up images: logs, checkpoint, going on, weights that load."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streamreid.errors import ConfigError, DatasetError, WeightsError
from streamreid.reid.weights import load_model
from streamreid.training.config import PairSoftmaxSection, SourceConfig, TrainConfig
from streamreid.training.runner import Hooks, run_training
from streamreid.training.trainer import StepReport
from streamreid.training.validation import ValidationFigures
from tests.training.builders import make_images, write_folder


@dataclass
class Follower:
    """Keeps what the run says and stops it after some steps."""

    stop_after: int = 10**6
    images: int = 0
    steps: list[StepReport] = field(default_factory=list)
    figures: dict[int, dict[str, ValidationFigures]] = field(default_factory=dict)

    def hooks(self) -> Hooks:
        return Hooks(
            images_expected=lambda _: None,
            image_loaded=self._image,
            stepped=lambda report, _: self.steps.append(report),
            validated=self.figures.__setitem__,
            stop=lambda: len(self.steps) >= self.stop_after,
        )

    def _image(self) -> None:
        self.images += 1


def make_config(root: Path, **changes: object) -> TrainConfig:
    values = {
        "name": "tiny",
        "sources": (SourceConfig(name="made up", root=str(root), train="bounding_box_train"),),
        "start": "imagenet",
        "neck_channels": 8,
        "input_size": (64, 32),
        "hold_out_every": 2,
        "validate_steps": 3,
        "checkpoint_steps": 2,
        "bfloat16": False,
        "pair_softmax": PairSoftmaxSection(
            steps=4, identities=3, images=2, frozen_blocks=0, late_frozen_blocks=0, head_rate=1e-2
        ),
    }
    return TrainConfig.model_validate(values | changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_folder(tmp_path / "data", make_images(identities=8, each=3, light_step=0.0))
    return tmp_path / "data"


def logged_steps(out: Path) -> list[int]:
    with (out / "log.csv").open(newline="", encoding="ascii") as stream:
        return [int(row["step"]) for row in csv.DictReader(stream)]


def test_a_stopped_run_goes_on_and_ends_with_weights_that_load(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = make_config(root)
    first = Follower(stop_after=3)
    stopped = run_training(config, out, first.hooks())
    assert stopped.weights is None
    assert stopped.step == 3
    assert first.images == 48
    assert list(first.figures) == [3]
    second = Follower()
    result = run_training(config, out, second.hooks())
    assert [report.step for report in second.steps] == [4]
    assert logged_steps(out) == [1, 2, 3, 4]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert result.weights is not None
    model = load_model(str(result.weights))
    assert model.card.name == "tiny"
    assert model.card.map_size == (4, 2)
    assert model.digest in result.weights.with_suffix(".md").read_text(encoding="utf-8")
    assert set(result.figures) == {"made up"}


def test_the_baseline_trains_and_goes_on_as_if_never_stopped(root: Path, tmp_path: Path) -> None:
    settings = make_config(root).recipe.model_dump()
    config = make_config(root, pair_softmax=None, embedding=settings)
    run_training(config, tmp_path / "halves", Follower(stop_after=2).hooks())
    halves = run_training(config, tmp_path / "halves", Follower().hooks())
    whole = run_training(config, tmp_path / "whole", Follower().hooks())
    assert halves.weights is not None
    assert whole.weights is not None
    assert halves.weights.read_bytes() == whole.weights.read_bytes()
    assert "triplet" in whole.weights.with_suffix(".md").read_text(encoding="utf-8")


def test_a_run_folder_of_other_settings_is_refused(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_training(make_config(root), out, Follower(stop_after=1).hooks())
    with pytest.raises(ConfigError, match="seed = 1"):
        run_training(make_config(root, seed=2), out, Follower().hooks())


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"start": "missing.pth"}, WeightsError, "missing.pth"),
        ({"pair_softmax": {"identities": 9}}, ConfigError, "has 4 identities"),
        (
            {"sources": [{"name": "x", "root": "nowhere"}]},
            DatasetError,
            "nowhere",
        ),
    ],
    ids=["first weights", "too few identities", "no folder"],
)
def test_what_cannot_start_says_why(
    root: Path, tmp_path: Path, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run_training(make_config(root, **changes), tmp_path / "run", Follower().hooks())
