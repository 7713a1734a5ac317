"""Weights files: they load as they were written, and say what is wrong when they are damaged."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from streamreid.errors import WeightsError
from streamreid.reid import backbone, weight_file, weights
from streamreid.reid.weight_file import Calibration, Card
from streamreid.reid.weights import load_model, save_model, weighted_head

SIZE = (64, 32)
GRID = (4, 2)


def make_card(**changes: object) -> Card:
    card = Card(
        name="tiny",
        architecture="lite0_in",
        version="2.1",
        neck_channels=16,
        map_channels=16,
        input_size=SIZE,
        map_size=GRID,
        normalisation=weights.NORMALISATION,
        training_data=("nothing",),
        licence="none",
        calibration=Calibration(scale=0.5, offset=-3.0, fitted_on="nothing"),
    )
    return replace(card, **changes)  # type: ignore[arg-type]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    network = backbone.build("lite0_in", neck_channels=16).eval()
    head = weighted_head(torch.full((8,), 1 / 8), 16, *GRID, scale=24.0, centre=0.25)
    path = tmp_path / "tiny.safetensors"
    save_model(path, make_card(), network, head)
    return path


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], None], card: Card) -> None:
    """Write consistent files whose content is wrong, as another program might."""
    tensors = load_file(path)
    change(tensors)
    weight_file.write(path, card, tensors)


def test_a_written_model_loads_with_its_card_and_digest(tiny: Path) -> None:
    model = load_model(str(tiny))
    assert model.card == make_card()
    assert model.digest == weight_file.digest_of_file(tiny)
    assert model.input_size == SIZE
    assert not model.network.training
    assert not model.head.training


def test_a_model_is_flipped_as_its_card_says(tmp_path: Path, tiny: Path) -> None:
    model = load_model(str(tiny))
    path = tmp_path / "flipped.safetensors"
    save_model(path, make_card(flip=True), model.network, model.head)
    flipped = load_model(str(path))
    assert (model.network.flip, flipped.network.flip) == (False, True)
    crops = [np.random.default_rng(1).integers(0, 256, (64, 32, 3), dtype=np.uint8)]
    mirrored = [crop[:, ::-1] for crop in crops]
    torch.testing.assert_close(
        flipped.maps(mirrored), flipped.maps(crops).flip(3), rtol=1e-4, atol=1e-5
    )


def test_maps_have_unit_norm_and_the_stated_shape(tiny: Path) -> None:
    model = load_model(str(tiny))
    rng = np.random.default_rng(1)
    crops = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((40, 20), (200, 90))]
    maps = model.maps(crops, batch_size=1)
    assert maps.shape == (2, 16, *GRID)
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(2, *GRID))


def test_no_crops_give_no_maps(tiny: Path) -> None:
    assert load_model(str(tiny)).maps([]).shape == (0, 16, *GRID)


def test_bfloat16_stays_close_and_comes_out_as_float32(tiny: Path) -> None:
    crops = [np.random.default_rng(2).integers(0, 256, (64, 32, 3), dtype=np.uint8)]
    exact = load_model(str(tiny)).maps(crops)
    rough = load_model(str(tiny), dtype=torch.bfloat16).maps(crops)
    assert rough.dtype == torch.float32
    assert float((exact - rough).abs().max()) < 0.1
    assert not torch.equal(exact, rough)


def test_head_scores_mean_of_maxima_around_its_centre() -> None:
    head = weighted_head(torch.full((8,), 1 / 8), 4, *GRID, scale=24.0, centre=0.25)
    ones = torch.nn.functional.normalize(torch.ones(1, 4, *GRID), dim=1)
    torch.testing.assert_close(head(ones, ones), torch.tensor([[18.0]]))


def test_calibration_maps_scores_to_probabilities() -> None:
    probability = Calibration(scale=2.0, offset=-1.0).probability(torch.tensor([0.5, 10.0]))
    torch.testing.assert_close(probability, torch.tensor([0.5, 1.0]))


def _drop(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["network.neck.0.bias"]


def _reshape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["network.neck.0.bias"] = torch.zeros(17)


def _poison(tensors: dict[str, torch.Tensor]) -> None:
    tensors["network.neck.0.bias"] = torch.full((16,), float("nan"))


def _keep(_: dict[str, torch.Tensor]) -> None:
    return


@pytest.mark.parametrize(
    ("change", "card", "words"),
    [
        (_drop, make_card(), ("missing tensors", "network.neck.0.bias")),
        (_reshape, make_card(), ("network.neck.0.bias", r"\(17,\)", r"\(16,\)")),
        (_poison, make_card(), ("network.neck.0.bias", "not finite")),
        (_keep, make_card(map_size=(5, 2)), (r"head.fc.weight", r"\(1, 8\)", r"\(1, 10\)")),
        (_keep, make_card(architecture="resnet9000"), ("resnet9000", "lite0")),
        (_keep, make_card(architecture="lite0"), ("missing tensors", "unknown tensors")),
    ],
    ids=["missing", "shape", "nan", "grid", "architecture", "other architecture"],
)
def test_wrong_content_is_named(
    tiny: Path, change: Callable[[dict[str, torch.Tensor]], None], card: Card, words: tuple[str]
) -> None:
    rewrite(tiny, change, card)
    with pytest.raises(WeightsError) as caught:
        load_model(str(tiny))
    for word in words:
        assert caught.match(word)


def test_one_changed_byte_is_noticed_without_the_sidecar(tiny: Path) -> None:
    weight_file.sidecar_of(tiny).unlink()
    content = bytearray(tiny.read_bytes())
    content[-5] ^= 1
    tiny.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        load_model(str(tiny))


def test_an_exchanged_file_does_not_fit_its_sidecar(tiny: Path) -> None:
    sidecar = weight_file.sidecar_of(tiny)
    sidecar.write_text("0" * 64 + "  tiny.safetensors\n", encoding="ascii")
    with pytest.raises(WeightsError, match="sha256"):
        load_model(str(tiny))


@pytest.mark.parametrize("cut", [0, 7, 100, 5000], ids=str)
def test_a_cut_file_is_refused(tiny: Path, cut: int) -> None:
    weight_file.sidecar_of(tiny).unlink()
    tiny.write_bytes(tiny.read_bytes()[:cut])
    with pytest.raises(WeightsError, match=r"copy it again|copy the file again"):
        load_model(str(tiny))


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="without a streamreid header"):
        load_model(str(path))


def test_another_format_number_is_refused(tiny: Path) -> None:
    header = {"format": 99, "tensors_sha256": "", "card": {}}
    save_file(load_file(tiny), tiny, metadata={"streamreid": json.dumps(header)})
    weight_file.sidecar_of(tiny).unlink()
    with pytest.raises(WeightsError, match="format 99"):
        load_model(str(tiny))


@pytest.mark.parametrize("name", ["defualt", "model.pth", "no/such/file.safetensors"])
def test_unknown_names_say_what_is_allowed(name: str) -> None:
    with pytest.raises(WeightsError, match="weights"):
        load_model(name)


@pytest.mark.parametrize("name", weights.SHIPPED)
def test_shipped_weights_load_and_have_a_card(name: str) -> None:
    model = load_model(name)
    assert model.card.name == name
    assert model.input_size == (384, 128)
    assert model.card.map_size == (24, 8)
    assert model.calibration.scale > 0
    assert model.digest in weights.model_card_text(name)
    assert weights.path_of(name).stat().st_size <= 6_000_000


def test_market_weights_have_seen_one_reid_data_set_only() -> None:
    seen = " ".join(load_model("qaconv-market").card.training_data)
    assert "Market" in seen
    assert "CUHK" not in seen
    assert "MSMT" not in seen


def test_imagenet_start_has_equal_location_weights() -> None:
    model = load_model("imagenet")
    weight = model.head.fc.weight
    torch.testing.assert_close(weight, torch.full_like(weight, 1 / 192))
    crops = [np.full((90, 40, 3), value, np.uint8) for value in (10, 200)]
    maps = model.maps(crops)
    score = model.head(maps, maps)
    torch.testing.assert_close(score, score.T)
    assert float(score[0, 0]) > float(score[0, 1])
