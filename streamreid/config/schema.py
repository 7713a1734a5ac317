"""The JSON schema of cams.yaml, for editors and other programs."""

import json
from typing import Any

from streamreid.config.models import Config
from streamreid.config.values import format_duration, format_size


def config_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of cams.yaml."""
    schema = Config.model_json_schema(by_alias=True, mode="validation")
    for section in (schema, *schema["$defs"].values()):
        for value in section["properties"].values():
            _tidy(value)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "streamreid cams.yaml",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def schema_text() -> str:
    """The schema as indented JSON with a final newline."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(value: dict[str, Any]) -> None:
    """Make the text of defaults what a user would write, and drop words JSON schema lacks."""
    for part in (value, *value.get("anyOf", ())):
        for word in ("gt", "ge", "le", "lt"):
            part.pop(word, None)
    if "$ref" in value:
        # A whole section's default repeats what its keys say.
        value.pop("default", None)
    default, examples = value.get("default"), str(value.get("examples", ""))
    if isinstance(default, int | float) and value.get("type") == "string":
        value["default"] = (
            format_size(int(default)) if "MiB" in examples else format_duration(default)
        )
