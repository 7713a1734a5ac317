"""The reference of cams.yaml as Markdown, written from the models so that it never gets old."""

from collections.abc import Iterator, Mapping
from typing import Any

from streamreid.config.schema import config_schema

_HEAD = """# cams.yaml

Every key of the configuration, written by `streamreid config schema --markdown`. Durations carry a
unit (`20ms`, `90s`, `2h`, `1h30m`, `3d`), sizes too (`64MiB`, `20GB`), times a zone
(`2026-01-05T08:00:00Z`), polygons are corners in pixels (`[[0, 0], [200, 0], [200, 80]]`).
Relative paths start at the folder of the file. Unknown keys are refused. Examples: `configs/`.
"""


def reference_text() -> str:
    """All sections with their keys, values, defaults and meaning."""
    schema = config_schema()
    parts = [_HEAD, *_section("", schema, schema["$defs"])]
    return "\n".join(parts)


def _section(name: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    nested: list[tuple[str, Mapping[str, Any]]] = []
    if name:
        yield f"## {name}\n"
    yield f"{schema.get('description', 'The whole file.')}\n"
    yield "| key | value | default | meaning |\n| --- | --- | --- | --- |"
    for key, value in schema["properties"].items():
        inner = _definition(value, definitions)
        if inner is not None:
            path = f"{name}.{key}" if name else key
            nested.append((f"{path}.NAME" if key == "cameras" else path, inner))
        required = key in schema.get("required", ())
        default = "required" if required else _default(value)
        meaning = value.get("description") or (inner or {}).get("description", "")
        kind = "see below" if inner is not None else _kind(value)
        yield f"| `{key}` | {kind} | {default} | {meaning} |".replace("  ", " ")
    yield ""
    for path, inner in nested:
        yield from _section(path, inner, definitions)


def _definition(
    value: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    target = value.get("$ref") or _first_pattern(value).get("$ref")
    if target is None:
        return None
    found: Mapping[str, Any] = definitions[str(target).rsplit("/", 1)[-1]]
    return found


def _first_pattern(value: Mapping[str, Any]) -> Mapping[str, Any]:
    patterns: Mapping[str, Mapping[str, Any]] = value.get("patternProperties", {})
    return next(iter(patterns.values()), value.get("additionalProperties") or {})


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    if default is None or default == []:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _kind(value: Mapping[str, Any]) -> str:
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    options = [part for part in value.get("anyOf", ()) if part.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(_kind(part) for part in options))
    low = value.get("minimum", value.get("exclusiveMinimum"))
    high = value.get("maximum", value.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{low} to {high}"
    examples = str(value.get("examples", ""))
    for word, kind in (("MiB", "size"), ("90s", "duration"), ("2026", "time")):
        if word in examples:
            return kind
    names = {"array": "list", "string": "text", "boolean": "`true`, `false`", "integer": "number"}
    return names.get(str(value.get("type")), str(value.get("type", "")))
