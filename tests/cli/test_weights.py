"""`streamreid weights`: list, show and import from the command line."""

import json
from pathlib import Path

import pytest

from streamreid.cli.main import main
from streamreid.cli.weights import parse_size
from streamreid.errors import ConfigError
from streamreid.reid.weights import SHIPPED, load_model
from tests.reid.test_reference_checkpoint import make_checkpoint


def test_list_names_every_shipped_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(SHIPPED)
    assert all(len(row["sha256"]) == 64 for row in rows)


def test_show_prints_the_checked_header(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "show", "default"]) == 0
    header = json.loads(capsys.readouterr().out)
    assert header["input_size"] == [384, 128]
    assert header["calibration"]["scale"] > 0
    assert "Market-1501" in " ".join(header["training_data"])


def test_show_prints_the_model_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "show", "default", "--card"]) == 0
    assert "## Limits" in capsys.readouterr().out


def test_import_turns_a_published_checkpoint_into_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "checkpoint.pth.tar", tmp_path / "out.safetensors"
    make_checkpoint(source, "resnet18_ibn_b", version="2.1", neck=8)
    arguments = ["weights", "import", str(source), str(target), "--size", "64x32"]
    assert main([*arguments, "--trained-on", "nothing"]) == 0
    assert "resnet18_ibn_b" in capsys.readouterr().out
    model = load_model(str(target))
    assert model.card.training_data == ("nothing",)
    assert model.card.calibration.fitted_on == "not fitted"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nonsense"], "nonsense"),
        (["show", "imagenet", "--card"], "no model card"),
        (["import", "none.pth", "out.safetensors"], "does not exist"),
        (["import", "none.pth", "out.bin"], "must end in .safetensors"),
        (["import", "none.pth", "out.safetensors", "--size", "big"], "height x width"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_two(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "384", "384x", "0x128", "384x128x3", "axb"])
def test_sizes_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="384x128"):
        parse_size(text)
