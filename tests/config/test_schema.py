"""The published JSON schema stays in step with the models."""

import json
from pathlib import Path

from streamreid.config.reference import reference_text
from streamreid.config.schema import config_schema, schema_text

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


def test_the_committed_schema_is_todays() -> None:
    committed = (CONFIGS / "cams.schema.json").read_text()
    assert committed == schema_text(), "run: streamreid config schema > configs/cams.schema.json"


def test_defaults_are_written_with_units() -> None:
    schema = config_schema()
    store = schema["$defs"]["StoreConfig"]["properties"]
    assert store["retention"]["default"] == "3d"
    assert store["min_free"]["default"] == "500MB"
    assert schema["additionalProperties"] is False


def test_the_schema_holds_no_python_values() -> None:
    assert json.loads(schema_text()) == config_schema()


def test_the_reference_page_is_todays() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    told = "run: streamreid config schema --markdown > docs/configuration.md"
    assert page == reference_text(), told


def test_every_key_says_what_it_means() -> None:
    schema = config_schema()
    silent = [
        (section, key)
        for section, model in schema["$defs"].items()
        for key, value in model["properties"].items()
        if not value.get("description") and "$ref" not in value
    ]
    assert silent == []
    assert all(model.get("description") for model in schema["$defs"].values())
