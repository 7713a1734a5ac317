"""The JSON schema of cams.yaml, for editors and other programs."""

import json
from typing import Any

from streamreid.config.models import Config


def config_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of cams.yaml."""
    schema = Config.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "streamreid cams.yaml",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def schema_text() -> str:
    """The schema as indented JSON with a final newline."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"
