"""Going on from weights of ours: the same network, or one message that says what differs."""

from pathlib import Path

import pytest
import torch

from streamreid.errors import WeightsError
from streamreid.reid import backbone, weights
from streamreid.reid.weight_file import Calibration, Card
from streamreid.reid.weights import save_model, weighted_head
from streamreid.training.config import SourceConfig, TrainConfig
from streamreid.training.start import first_location_weight, first_network
from tests.training.builders import make_images

PLACES = 8


def _location_weight() -> torch.Tensor:
    return torch.arange(1.0, PLACES + 1) / sum(range(1, PLACES + 1))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("first") / "first.safetensors"
    card = Card(
        name="first",
        architecture="lite0_in",
        version="2.1",
        neck_channels=8,
        map_channels=8,
        input_size=(64, 32),
        map_size=(4, 2),
        normalisation=weights.NORMALISATION,
        training_data=("nothing",),
        licence="none",
        calibration=Calibration(scale=0.5, offset=-3.0, fitted_on="nothing"),
    )
    network = backbone.build("lite0_in", neck_channels=8)
    save_model(
        path, card, network, weighted_head(_location_weight(), 8, 4, 2, scale=24.0, centre=0.25)
    )
    return path


def _config(start: str, **changes: object) -> TrainConfig:
    values = {
        "name": "next",
        "sources": (SourceConfig(name="made up", root="."),),
        "start": start,
        "neck_channels": 8,
        "input_size": (64, 32),
    }
    return TrainConfig.model_validate(values | changes)


def test_a_run_goes_on_from_the_very_weights(first: Path) -> None:
    images = make_images(identities=2)
    network = first_network(_config(str(first)), images)
    expected = weights.load_model(str(first)).network.state_dict()
    found = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert all(parameter.requires_grad for parameter in network.parameters())
    location = first_location_weight(_config(str(first)))
    assert location is not None
    torch.testing.assert_close(location, _location_weight() * PLACES)


def test_a_fresh_start_has_no_location_weights() -> None:
    assert first_location_weight(_config("random")) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"architecture": "osnet_x0_25"}, "osnet_x0_25", id="architecture"),
        pytest.param({"neck_channels": 16}, r"\b16\b", id="neck"),
        pytest.param({"input_size": (128, 64)}, r"\(128, 64\)", id="size"),
    ],
)
def test_other_weights_are_refused_with_both_shapes(
    first: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(WeightsError, match=rf"first\.safetensors.*lite0_in.*says.*{named}"):
        first_network(_config(str(first), **changes), make_images(identities=2))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        first_network(_config(str(tmp_path / "none.safetensors")), make_images(identities=2))
