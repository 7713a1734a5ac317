"""`streamreid train` from the command line."""

from pathlib import Path

import pytest

from streamreid.cli.main import main
from tests.training.builders import make_images, write_folder

CONFIG = """
name: tiny
start: imagenet
neck_channels: 8
input_size: [64, 32]
hold_out_every: 2
validate_steps: 2
bfloat16: false
sources: [{{name: made up, root: {root}, train: bounding_box_train}}]
pair_softmax: {{steps: 2, identities: 3, images: 2, frozen_blocks: 0, head_rate: 0.01}}
"""


def test_a_run_writes_weights_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "data", make_images(identities=8, each=3, light_step=0.0))
    config = tmp_path / "train.yaml"
    config.write_text(CONFIG.format(root=tmp_path / "data"), encoding="utf-8")
    out = tmp_path / "run"
    assert main(["train", "--config", str(config), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "held-out identities of made up" in printed
    assert (out / "tiny.safetensors").is_file()
    assert (out / "tiny.safetensors.sha256").is_file()


def test_a_wrong_configuration_is_exit_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("name: x\nsources: 3\n", encoding="utf-8")
    assert main(["train", "--config", str(config)]) == 2
    assert "train.yaml:2:" in capsys.readouterr().err
