"""The training configuration: one file says everything that decides the result of a run."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from streamreid.reid.backbone import ARCHITECTURES
from streamreid.training.augment import AugmentConfig

DatasetName = Literal[
    "folder",
    "market1501",
    "cuhk03_np_detected",
    "cuhk03_np_labeled",
    "msmt17",
    "randperson",
    "clonedperson",
]


class _Section(BaseModel):
    """A part of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(_Section):
    """One data set to train on."""

    name: str = Field(description="Short name for logs and the model card.")
    dataset: DatasetName = Field("folder", description="Layout of the folder.")
    root: str = Field(description="Folder of the data set.")
    train: str | None = Field(
        None, description="Folder or .txt of file names under root instead of the layout's own."
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="How often a batch comes from this source, relative to the others."
    )


class AugmentSection(_Section):
    """Random changes of the images; see `streamreid.training.augment.AugmentConfig`."""

    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    rotate_deg: Annotated[float, Field(ge=0, le=45)] = 5.0
    scale: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    shift: Annotated[float, Field(ge=0, lt=0.5)] = 0.08
    colour: Annotated[float, Field(ge=1, le=4)] = 1.6
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.06
    grey: Annotated[float, Field(ge=0, le=1)] = 0.05
    blur: Annotated[float, Field(ge=0, le=1)] = 0.3
    blur_factor: Annotated[float, Field(ge=1, le=8)] = 4.0
    erase: Annotated[float, Field(ge=0, le=1)] = 0.6
    erase_side: Annotated[float, Field(gt=0, le=1)] = 0.8
    erase_with: Literal["colour", "white square"] = "colour"
    border: Literal["edge", "black"] = "edge"

    def values(self) -> AugmentConfig:
        """The plain value that the trainers take."""
        return AugmentConfig(**self.model_dump())


class PairSoftmaxSection(_Section):
    """The recipe of the shipped weights; see `streamreid.training.trainer.TrainPlan`."""

    steps: Annotated[int, Field(ge=1)] = 900
    identities: Annotated[int, Field(ge=2)] = 16
    images: Annotated[int, Field(ge=2)] = 4
    neighbour_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    refresh_steps: Annotated[int, Field(ge=1)] = 150
    warmup_steps: Annotated[int, Field(ge=0)] = 40
    trunk_rate: Annotated[float, Field(ge=0)] = 4e-4
    head_rate: Annotated[float, Field(ge=0)] = 1e-3
    location_rate: Annotated[float, Field(ge=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    temperature: Annotated[float, Field(gt=0)] = 24.0
    frozen_blocks: Annotated[int, Field(ge=0)] = 3
    late_frozen_blocks: Annotated[int, Field(ge=0)] = 3
    late_from_step: Annotated[int, Field(ge=0)] = 0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99
    clip: Annotated[float, Field(gt=0)] = 5.0


class EmbeddingSection(PairSoftmaxSection):
    """The baseline: one vector per image; see `streamreid.training.embedding_trainer`."""


class ReferenceSection(_Section):
    """The published 2.1 recipe; see `streamreid.training.reference_trainer.ReferencePlan`."""

    batch_size: Annotated[int, Field(ge=4)] = 64
    images_per_class: Annotated[int, Field(ge=2)] = 2
    rate: Annotated[float, Field(gt=0)] = 0.005
    epochs: Annotated[int, Field(ge=1)] = 60
    step_factor: Annotated[float, Field(gt=0)] = 0.7
    margin: Annotated[float, Field(gt=0)] = 16.0
    clip: Annotated[float, Field(gt=0)] = 8.0


class TrainConfig(_Section):
    """A training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name of the weights.")
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    architecture: str = Field("lite0_in", description="See `streamreid.reid.backbone`.")
    start: str = Field(
        "imagenet",
        description="imagenet, random, weights of ours (.safetensors, or a shipped name), or a "
        "state dictionary of the trunk (published names).",
    )
    neck_channels: Annotated[int, Field(ge=1)] = 128
    input_size: tuple[int, int] = Field((384, 128), description="Height and width, pixels.")
    flip: bool = Field(
        False,
        description="Average the maps of an image and of its mirror image when the weights are "
        "used: better across cameras, twice the time per image.",
    )
    hold_out_every: Annotated[int, Field(ge=2)] = Field(
        10, description="Every n-th identity of each source is kept for validation."
    )
    validate_steps: Annotated[int, Field(ge=1)] = 150
    checkpoint_steps: Annotated[int, Field(ge=1)] = 50
    seed: int = 1
    threads: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None, description="Threads of torch; part of the result, so written down with it."
    )
    bfloat16: bool = True
    licence: str = Field(
        "Research use only: trained on data sets that are released for academic research. "
        "The ImageNet start is Apache-2.0.",
        description="Terms of the weights, for their header and card.",
    )
    augment: AugmentSection = AugmentSection()
    pair_softmax: PairSoftmaxSection | None = None
    embedding: EmbeddingSection | None = None
    reference: ReferenceSection | None = None

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, value: str) -> str:
        base = value.removesuffix("_layer2").removesuffix("_layer4")
        if base not in ARCHITECTURES:
            raise ValueError(f"unknown architecture; use one of {', '.join(ARCHITECTURES)}")
        return value

    @field_validator("input_size")
    @classmethod
    def _multiple_of_stride(cls, value: tuple[int, int]) -> tuple[int, int]:
        if any(side < 32 or side % 32 for side in value):
            raise ValueError("height and width must be multiples of 32, such as 384 and 128")
        return value

    @field_validator("sources")
    @classmethod
    def _different_names(cls, value: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        if len({source.name for source in value}) < len(value):
            raise ValueError("two sources have one name; give each its own")
        return value

    @model_validator(mode="after")
    def _one_recipe(self) -> Self:
        if sum(section is not None for section in self._sections) > 1:
            raise ValueError("give one of pair_softmax, embedding and reference, not several")
        return self

    @property
    def _sections(self) -> tuple[PairSoftmaxSection | ReferenceSection | None, ...]:
        return self.pair_softmax, self.embedding, self.reference

    @property
    def recipe(self) -> PairSoftmaxSection | ReferenceSection:
        """The chosen recipe; pair softmax with its defaults when none is written down."""
        return next((section for section in self._sections if section), PairSoftmaxSection())
