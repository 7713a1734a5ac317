"""The settings that a run folder was begun with, so that nothing else is ever mixed into it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamreid.errors import ConfigError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.training.config import TrainConfig

_FILE = "settings.json"
# These do not decide the weights; of the sources, labels count, not where the images lie.
_FREE = {"validate_steps", "checkpoint_steps", "licence", "sources"}
_RECIPES = {"pair_softmax", "embedding", "reference"}


def settings_of(config: TrainConfig, sources: Sequence[Sequence[ImageRecord]]) -> dict[str, Any]:
    """Everything that decides the result of a run, as JSON-ready values with dotted names.

    Args:
        config: The run.
        sources: Training records of each source; their names and labels enter by a digest.
    """
    chosen = config.model_dump(mode="json", exclude=_FREE | _RECIPES)
    chosen["recipe"] = type(config.recipe).__name__.removesuffix("Section")
    chosen |= config.recipe.model_dump(mode="json")
    for source, records in zip(config.sources, sources, strict=True):
        chosen[f"sources.{source.name}.share"] = source.share
        chosen[f"sources.{source.name}.images"] = len(records)
        chosen[f"sources.{source.name}.labels_sha256"] = _digest(records)
    augmentation = chosen.pop("augment")
    return chosen | {f"augment.{name}": value for name, value in augmentation.items()}


def check_settings(out: Path, settings: Mapping[str, Any], *, going_on: bool) -> None:
    """Compare with what the folder was begun with; a new run writes it down.

    Args:
        out: Folder of the run; made if it is missing.
        settings: From `settings_of`.
        going_on: Whether the folder holds a checkpoint.

    Raises:
        ConfigError: The folder holds a run with other settings; names the first that differs.
    """
    file = out / _FILE
    if going_on and file.is_file():
        try:
            written = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise ConfigError(f"{file} is damaged ({exc}); use another --out") from exc
        for name in sorted({*written, *settings}):
            if written.get(name) != settings.get(name):
                raise ConfigError(
                    f"{out} holds a run with {name} = {written.get(name)!r}, now it is "
                    f"{settings.get(name)!r}; use the old value, or another --out to start again"
                )
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"--out {out} cannot be made a folder: {exc.strerror}") from exc
    partial = file.with_name(_FILE + ".partial")
    partial.write_text(json.dumps(dict(settings), indent=2) + "\n", encoding="utf-8")
    partial.replace(file)


def _digest(records: Sequence[ImageRecord]) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(f"{record.path.name}\t{record.identity}\t{record.camera}\n".encode())
    return digest.hexdigest()[:16]
