"""Training configurations: the shipped examples load, wrong ones are named with their line."""

from pathlib import Path

import pytest

from streamreid.cli.train import load_train_config
from streamreid.errors import ConfigError
from streamreid.reid.weights import SHIPPED
from streamreid.training.config import EmbeddingSection, ReferenceSection, TrainConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
MANUAL = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("train_*.yaml")), ids=lambda path: path.stem)
def test_shipped_examples_load(path: Path) -> None:
    assert load_train_config(path).name


def test_there_are_four_examples() -> None:
    names = {path.stem for path in CONFIGS.glob("train_*.yaml")}
    assert names == {"train_default", "train_embedding", "train_market", "train_reference21"}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("train_*.yaml")), ids=lambda path: path.stem)
def test_the_manual_names_every_example(path: Path) -> None:
    assert f"[{path.name}](../configs/{path.name})" in MANUAL


@pytest.mark.parametrize("name", [name for name in TrainConfig.model_fields if name != "name"])
def test_the_manual_explains_every_setting(name: str) -> None:
    table = MANUAL.partition("| setting |")[2].partition("\n\n")[0]
    assert f"`{name}`" in table


def test_the_example_of_the_manual_loads(tmp_path: Path) -> None:
    example = MANUAL.partition("```yaml\n")[2].partition("```")[0]
    path = tmp_path / "shop.yaml"
    path.write_text(example, encoding="utf-8")
    config = load_train_config(path)
    assert config.flip
    assert config.licence == "ours"
    assert config.start in SHIPPED


def test_the_reference_example_has_the_published_settings() -> None:
    config = load_train_config(CONFIGS / "train_reference21.yaml")
    assert isinstance(config.recipe, ReferenceSection)
    assert config.recipe == ReferenceSection()
    assert config.augment.values().erase_with == "white square"


def test_the_baseline_trains_on_the_data_and_network_of_the_market_weights() -> None:
    baseline = load_train_config(CONFIGS / "train_embedding.yaml")
    market = load_train_config(CONFIGS / "train_market.yaml")
    assert isinstance(baseline.recipe, EmbeddingSection)
    for same in ("sources", "architecture", "start", "input_size", "hold_out_every"):
        assert getattr(baseline, same) == getattr(market, same)


def test_market_weights_train_on_one_source_from_imagenet() -> None:
    config = load_train_config(CONFIGS / "train_market.yaml")
    assert [source.name for source in config.sources] == ["Market-1501"]
    assert config.start == "imagenet"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\n", r"sources"),
        ("name: x\nsources: []\n", r"bad.yaml:2:"),
        ("name: x y\nsources: [{name: a, root: b}]\n", r"bad.yaml:1:7"),
        ("name: x\nsuorces: []\nsources: [{name: a, root: b}]\n", r"bad.yaml:2:1.*sources"),
        ("name: x\nsources: [{name: a, root: b, share: 0}]\n", r"bad.yaml:2:"),
        ("name: x\nsources: [{name: a, root: b}]\ninput_size: [380, 128]\n", r"multiples of 32"),
        ("name: x\nsources: [{name: a, root: b}]\narchitecture: vgg\n", r"unknown architecture"),
        (
            "name: x\nsources: [{name: a, root: b}, {name: a, root: c}]\n",
            r"bad.yaml:2:.*two sources have one name",
        ),
        (
            "name: x\nsources: [{name: a, root: b}]\nreference: {}\npair_softmax: {}\n",
            r"one of pair_softmax, embedding and reference",
        ),
        ("- a\n", r"bad.yaml"),
        ("", r"bad.yaml"),
        ("name: [\n", r"not valid YAML"),
    ],
)
def test_wrong_files_are_named_with_their_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_train_config(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_train_config(tmp_path / "none.yaml")
