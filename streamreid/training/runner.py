"""One training run from a configuration to a weights file, with logs, checkpoints and a plot."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from streamreid.errors import ConfigError, WeightsError
from streamreid.evaluation import datasets
from streamreid.evaluation.datasets import ImageRecord
from streamreid.training.config import (
    EmbeddingSection,
    PairSoftmaxSection,
    ReferenceSection,
    TrainConfig,
)
from streamreid.training.curves import draw_curves
from streamreid.training.embedding_trainer import EmbeddingTrainer
from streamreid.training.export import ExportInfo, export
from streamreid.training.images import ImageSet, load_images
from streamreid.training.recipe import Recipe, StepReport
from streamreid.training.reference_trainer import ReferencePlan, ReferenceTrainer
from streamreid.training.run_settings import check_settings, settings_of
from streamreid.training.sampling import BatchPlan
from streamreid.training.start import first_location_weight, first_network
from streamreid.training.trainer import Trainer, TrainPlan
from streamreid.training.validation import ValidationFigures, hold_out, score_source

_LOG_FIELDS = ("step", "loss", "accuracy", "rate_factor")
_RECIPE_NAMES = {
    PairSoftmaxSection: "pair softmax",
    EmbeddingSection: "batch-hard triplet loss on pooled vectors",
    ReferenceSection: "2.1 recipe",
}


@dataclass(frozen=True, slots=True)
class Hooks:
    """How the caller follows a run.

    Attributes:
        image_loaded: Called after each image that was read.
        images_expected: Called once with the number of images.
        stepped: Called after each batch with its report and the expected number of steps.
        validated: Called with the step and the figures of each source.
        stop: Asked before each batch; true ends the run with a checkpoint.
    """

    images_expected: Callable[[int], None]
    image_loaded: Callable[[], None]
    stepped: Callable[[StepReport, int], None]
    validated: Callable[[int, dict[str, ValidationFigures]], None]
    stop: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        step: Batches done.
        weights: The exported file, None when the run was stopped before its end.
        figures: Figures on held-out identities at the end.
    """

    step: int
    weights: Path | None
    figures: dict[str, ValidationFigures]


def run_training(config: TrainConfig, out: Path, hooks: Hooks) -> RunResult:
    """Train, or go on with what lies in `out`.

    Args:
        config: The run.
        out: Folder for checkpoint, logs, plot and weights; made if it is missing.
        hooks: Progress out, stop in.

    Raises:
        ConfigError: `out` holds a run with other settings, or a source is too small.
        DatasetError: A source cannot be read.
        WeightsError: The first weights cannot be read.
    """
    checkpoint = out / "last.ckpt"
    sources = _sources(config)
    check_settings(out, settings_of(config, sources), going_on=checkpoint.is_file())
    images = _images(sources, config, hooks)
    training, validation = hold_out(images, config.hold_out_every)
    trainer = _trainer(config, training)
    if checkpoint.is_file():
        trainer.restore(checkpoint)
    log = out / "log.csv"
    _cut_log(log, trainer.step)
    figures: dict[str, ValidationFigures] = {}
    with log.open("a", newline="", encoding="ascii") as stream:
        rows = csv.writer(stream)
        while not trainer.finished and not hooks.stop():
            report = trainer.train_step()
            rows.writerow([report.step, report.loss, report.accuracy, report.rate_factor])
            hooks.stepped(report, trainer.expected_steps)
            if report.step % config.checkpoint_steps == 0:
                stream.flush()
                trainer.save(checkpoint)
            if report.step % config.validate_steps == 0:
                figures = _validate(config, trainer, validation)
                hooks.validated(report.step, figures)
    trainer.save(checkpoint)
    draw_curves(log, out / "curves.png", title=config.name)
    if not trainer.finished:
        return RunResult(trainer.step, None, figures)
    weights, figures = _export(config, trainer, validation, out)
    return RunResult(trainer.step, weights, figures)


def _sources(config: TrainConfig) -> list[tuple[ImageRecord, ...]]:
    return [
        datasets.load(source.dataset, source.root, train=source.train, required=("train",)).train
        for source in config.sources
    ]


def _images(sources: list[tuple[ImageRecord, ...]], config: TrainConfig, hooks: Hooks) -> ImageSet:
    hooks.images_expected(sum(len(records) for records in sources))
    return load_images(sources, config.input_size, progress=hooks.image_loaded)


def _trainer(config: TrainConfig, images: ImageSet) -> Recipe:
    network = first_network(config, images)
    network.flip = config.flip
    recipe = config.recipe
    try:
        if isinstance(recipe, ReferenceSection):
            return ReferenceTrainer(network, images, _reference_plan(config, recipe))
        kind = EmbeddingTrainer if isinstance(recipe, EmbeddingSection) else Trainer
        plan = _softmax_plan(config, recipe)
        return kind(network, images, plan, location_weight=first_location_weight(config))
    except ValueError as exc:
        raise ConfigError(f"{config.name}: {exc}") from exc


def _softmax_plan(config: TrainConfig, recipe: PairSoftmaxSection) -> TrainPlan:
    settings = recipe.model_dump()
    total = sum(source.share for source in config.sources)
    batch = BatchPlan(
        identities=settings.pop("identities"),
        images=settings.pop("images"),
        source_share=tuple(source.share / total for source in config.sources),
        neighbour_share=settings.pop("neighbour_share"),
    )
    return TrainPlan(
        batch=batch,
        augment=config.augment.values(),
        bfloat16=config.bfloat16,
        seed=config.seed,
        **settings,
    )


def _reference_plan(config: TrainConfig, recipe: ReferenceSection) -> ReferencePlan:
    return ReferencePlan(
        augment=config.augment.values(),
        bfloat16=config.bfloat16,
        seed=config.seed,
        **recipe.model_dump(),
    )


def _validate(
    config: TrainConfig, trainer: Recipe, validation: ImageSet
) -> dict[str, ValidationFigures]:
    network, head = trainer.model()
    dtype = torch.bfloat16 if config.bfloat16 else torch.float32
    return {
        source.name: score_source(network, head, validation, number, dtype=dtype).figures
        for number, source in enumerate(config.sources)
    }


def _export(
    config: TrainConfig, trainer: Recipe, validation: ImageSet, out: Path
) -> tuple[Path, dict[str, ValidationFigures]]:
    network, head = trainer.model()
    path = out / f"{config.name}.safetensors"
    kind = _RECIPE_NAMES[type(config.recipe)]
    info = ExportInfo(
        name=config.name,
        architecture=config.architecture,
        source_names=tuple(source.name for source in config.sources),
        training_data=(
            f"start: {config.start}",
            *(
                f"{source.name} ({source.train or 'training split'}, every "
                f"{config.hold_out_every}th identity held out)"
                for source in config.sources
            ),
        ),
        licence=config.licence,
        notes=f"{kind}, {trainer.step} batches; configuration: {config.model_dump_json()}",
    )
    everything = tuple(range(len(config.sources)))
    try:
        _, figures = export(path, info, network, head, validation, calibrate_on=everything)
    except ValueError as exc:
        raise WeightsError(f"{config.name}: the calibration cannot be fitted: {exc}") from exc
    return path, figures


def _cut_log(log: Path, step: int) -> None:
    """Keep the rows up to the checkpoint: no step stands there twice, and none half-written."""
    rows: list[list[str]] = []
    if log.is_file():
        with log.open(newline="", encoding="ascii") as stream:
            rows = list(csv.reader(stream))
    with log.open("w", newline="", encoding="ascii") as stream:
        csv.writer(stream).writerows([_LOG_FIELDS, *rows[1 : step + 1]])
