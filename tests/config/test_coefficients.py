"""Shipped coefficients load, fit their weights, and a damaged file says so."""

import json
from pathlib import Path

import pytest

from streamreid.association.joining import JoinSettings
from streamreid.config.coefficients import (
    coefficients_for,
    read_coefficients,
    shipped_coefficients,
    site_file,
    write_coefficients,
)
from streamreid.engine.coefficients import MODES, Coefficients
from streamreid.errors import ConfigError
from streamreid.reid.weights import load_model


def test_those_of_the_default_weights_belong_to_them() -> None:
    fitted = shipped_coefficients("default", load_model("default").digest)
    assert set(fitted.links) == set(MODES)
    for mode in MODES:
        assert len(fitted.settings(mode, false_merge_rate=0.02).thresholds) >= 3


def test_other_weights_get_neutral_values_around_their_calibration() -> None:
    neutral = shipped_coefficients("default", "0" * 64, slope=2.0, offset=-1.0)
    assert neutral.links == {}
    assert (neutral.calibration_slope, neutral.calibration_offset) == (2.0, -1.0)


def test_a_site_has_its_own_while_they_fit_the_weights(tmp_path: Path) -> None:
    store = tmp_path / "site.sqlite"
    mine = Coefficients(weights_digest="abc", calibration_offset=-4.0)
    write_coefficients(site_file(store), mine)
    assert read_coefficients(site_file(store)) == mine
    assert coefficients_for(store, "default", "abc") == mine
    assert coefficients_for(store, "default", "other").calibration_offset == 0.0


def test_a_file_from_before_joins_keeps_its_thresholds_by_joining_nobody(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    write_coefficients(path, Coefficients(join=JoinSettings(tries=3, bridge=0.5)))
    assert read_coefficients(path).join == JoinSettings(tries=3, bridge=0.5)
    plain = json.loads(path.read_text())
    del plain["join"]
    path.write_text(json.dumps(plain))
    with pytest.raises(ConfigError, match="join"):
        read_coefficients(path)
    path.write_text(json.dumps({**plain, "format": 1}))
    assert read_coefficients(path).join.tries == 0
    assert read_coefficients(path).settings("full").join.tries == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x\.json"):
        read_coefficients(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_coefficients(tmp_path / "none.json")
