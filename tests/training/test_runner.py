"""A whole run on made-up images: logs, checkpoint, going on, weights that load."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streamreid.errors import ConfigError, DatasetError, WeightsError
from streamreid.reid.weights import load_model
from streamreid.training.config import PairSoftmaxSection, SourceConfig, TrainConfig
from streamreid.training.recipe import StepReport
from streamreid.training.runner import Hooks, run_training
from streamreid.training.validation import ValidationFigures
from tests.training.builders import make_images, write_folder


class Killed(Exception):
    """Stands for a process that ends without a chance to write anything."""


@dataclass
class Follower:
    """Keeps what the run says and stops it after some steps, in good order or suddenly."""

    stop_after: int = 10**6
    killed_after: int = 10**6
    images: int = 0
    steps: list[StepReport] = field(default_factory=list)
    figures: dict[int, dict[str, ValidationFigures]] = field(default_factory=dict)

    def hooks(self) -> Hooks:
        return Hooks(
            images_expected=lambda _: None,
            image_loaded=self._image,
            stepped=lambda report, _: self._step(report),
            validated=self.figures.__setitem__,
            stop=lambda: len(self.steps) >= self.stop_after,
        )

    def _image(self) -> None:
        self.images += 1

    def _step(self, report: StepReport) -> None:
        self.steps.append(report)
        if report.step == self.killed_after:
            raise Killed


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
    config = make_config(root, licence="ours")
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
    assert model.card.licence == "ours"
    page = result.weights.with_suffix(".md").read_text(encoding="utf-8")
    assert model.digest in page
    assert "| licence | ours |" in page
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


REFERENCE = {"pair_softmax": None, "reference": {"batch_size": 4, "epochs": 1}}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"flip": True, "architecture": "lite0_in_stage7"}, marks=pytest.mark.slow),
        {"flip": True, "architecture": "osnet_x0_25", "start": "random", **REFERENCE},
    ],
    ids=["pair softmax", "reference"],
)
def test_a_killed_run_ends_with_the_same_bytes(
    root: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Killed after step 3: the checkpoint is one of step 2, the log reaches further."""
    config = make_config(root, **changes)
    with pytest.raises(Killed):
        run_training(config, tmp_path / "killed", Follower(killed_after=3).hooks())
    with (tmp_path / "killed" / "log.csv").open("a", encoding="ascii") as stream:
        stream.write("1")  # of a row 100 that was being written
    resumed = Follower()
    killed = run_training(config, tmp_path / "killed", resumed.hooks())
    whole = run_training(config, tmp_path / "whole", Follower().hooks())
    assert [report.step for report in resumed.steps] == [3, 4]
    assert killed.weights is not None
    assert whole.weights is not None
    assert killed.weights.read_bytes() == whole.weights.read_bytes()
    assert (tmp_path / "killed" / "log.csv").read_bytes() == (
        tmp_path / "whole" / "log.csv"
    ).read_bytes()
    assert load_model(str(whole.weights)).network.flip


def test_a_run_that_is_stopped_before_its_first_batch_can_go_on(root: Path, tmp_path: Path) -> None:
    stopped = run_training(make_config(root), tmp_path / "run", Follower(stop_after=0).hooks())
    assert stopped.step == 0
    follower = Follower(stop_after=1)
    run_training(make_config(root), tmp_path / "run", follower.hooks())
    assert [report.step for report in follower.steps] == [1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 2}, "seed = 1, now it is 2"),
        ({"flip": True}, "flip = False, now it is True"),
        ({"architecture": "lite0_in_stage7"}, "architecture = 'lite0_in'"),
        ({"augment": {"grey": 0.5}}, "augment.grey = 0.05"),
        ({"pair_softmax": None}, r"run with \w+ = "),
    ],
    ids=["seed", "flip", "architecture", "augmentation", "recipe"],
)
def test_a_run_folder_of_other_settings_is_refused(
    begun: Path, root: Path, changes: dict[str, object], words: str
) -> None:
    follower = Follower()
    with pytest.raises(ConfigError, match=words):
        run_training(make_config(root, **changes), begun, follower.hooks())
    assert follower.images == 0  # before anything was read


def test_a_run_folder_of_other_images_is_refused(begun: Path, root: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    root.rename(moved)
    run_training(make_config(moved), begun, Follower(stop_after=1).hooks())  # may lie elsewhere
    victim = sorted((moved / "bounding_box_train").iterdir())[0]
    victim.unlink()
    with pytest.raises(ConfigError, match=r"sources\.made up\.images = 48, now it is 47"):
        run_training(make_config(moved), begun, Follower().hooks())


def test_a_checkpoint_of_another_network_is_refused(begun: Path, root: Path) -> None:
    (begun / "settings.json").unlink()
    with pytest.raises(ConfigError, match=r"last\.ckpt does not fit this run"):
        run_training(make_config(root, neck_channels=16), begun, Follower().hooks())


def test_a_folder_that_cannot_be_made_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match=r"run cannot be made a folder"):
        run_training(make_config(root), tmp_path / "run", Follower().hooks())


@pytest.fixture
def begun(root: Path, tmp_path: Path) -> Path:
    """A run after its first step."""
    run_training(make_config(root), tmp_path / "begun", Follower(stop_after=1).hooks())
    return tmp_path / "begun"


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
