"""The sections of cams.yaml as pydantic models: names, bounds, defaults and what each one means."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from streamreid.config.camera_url import CameraUrl, parse_camera_url
from streamreid.config.values import DurationS, Polygons, SizeBytes, TimeS, expand_path
from streamreid.errors import ConfigError
from streamreid.types import CameraId

CAMERA_NAME = r"^[A-Za-z0-9_-]{1,64}$"
MAX_CAMERAS = 512

Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
Threads = Annotated[StrictInt, Field(ge=1, le=256)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]{1,2})?)$")]
CameraName = Annotated[str, StringConstraints(pattern=CAMERA_NAME)]


def _file_path(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or "\0" in value or len(value) > 4096:
        raise ValueError("needs the path of a file")
    folder = (info.context or {}).get("folder", Path())
    return expand_path(value, folder)


def _weights_name(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value or len(value) > 4096:
        raise ValueError("needs a known name or the path of a file")
    folder = (info.context or {}).get("folder", Path())
    path = expand_path(value, folder)
    # A bare name may be a file beside the configuration, or one that is looked up elsewhere.
    return str(path) if "/" in value or path.is_file() else value


def _camera_url(value: object, info: ValidationInfo) -> CameraUrl:
    if isinstance(value, CameraUrl):
        return value
    if not isinstance(value, str):
        raise ValueError("needs text, such as rtsp://10.0.0.11/stream1 or videos/lobby.mp4")
    context = info.context or {}
    return parse_camera_url(
        value, folder=context.get("folder", Path()), environ=context.get("environ")
    )


FilePath = Annotated[Path, PlainValidator(_file_path), WithJsonSchema({"type": "string"})]
"""A path; relative ones start at the folder of the configuration file."""

Weights = Annotated[str, PlainValidator(_weights_name), WithJsonSchema({"type": "string"})]
"""A known name, or the path of a file; relative ones start at the configuration's folder."""

Url = Annotated[
    CameraUrl,
    PlainValidator(_camera_url),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CameraOptions(Section):
    """What can be set for one camera, or for all of them under `defaults`."""

    detect_fps: float = Field(
        5.0, gt=0, le=60, strict=True, description="Frames per second given to the detector."
    )
    mask: Polygons = Field((), description="Areas to ignore; nothing inside them is ever stored.")
    roi: Polygons = Field((), description="Areas to watch; empty means the whole picture.")
    live: StrictBool | None = Field(
        None,
        description="true drops old frames to stay current, false waits and loses nothing; "
        "by default network streams and devices are live, files are not.",
    )
    max_pending: StrictInt = Field(
        500, ge=1, le=100_000, description="Messages kept while the matcher is busy or away."
    )


class CameraConfig(CameraOptions):
    """One camera."""

    url: Url = Field(
        description="rtsp://, rtsps://, http://, https://, udp://, tcp://, file://, v4l2:// or a "
        "path; {env:NAME} and {file:PATH} stand for secrets kept elsewhere."
    )
    start_time_s: TimeS | None = Field(
        None, alias="start_time", description="Capture time of the first frame of a file."
    )

    @property
    def is_live(self) -> bool:
        """Whether old frames are dropped (live) or waited for (file)."""
        return self.url.live if self.live is None else self.live


Pair = Annotated[
    tuple[CameraName, CameraName], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]


class TopologyConfig(Section):
    """What is known about the places of the cameras; everything else is learned."""

    overlaps: tuple[Pair, ...] = Field((), description="Camera pairs that see a common area.")
    disjoint: tuple[Pair, ...] = Field((), description="Camera pairs that see no common area.")


class DetectorConfig(Section):
    """How people are found in a frame."""

    kind: Literal["auto", "yolo", "motion"] = Field(
        "auto",
        description="auto is yolo when its weights are at hand, else motion: for static cameras, "
        "without weights.",
    )
    weights: Weights = Field("yolo26n.pt", description="A file, or a known name.")
    sha256: Sha256 | None = Field(None, description="Refuse a weights file with another digest.")
    confidence: Fraction = Field(
        0.35, description="Detections below this start no track; half of it keeps one alive."
    )
    backend: Literal["auto", "torch", "onnxruntime", "openvino-bf16", "openvino-f32"] = Field(
        "auto", description="auto measures once which is the fastest here."
    )
    device: Device = Field("auto", description="auto is a GPU when there is one, else the CPU.")
    threads: Threads = Field(1, description="Threads of the detector in each camera worker.")
    download: StrictBool = Field(
        True, description="Whether published weights may be fetched when they are not here."
    )


class GalleryConfig(Section):
    """How much of the past new people are compared with."""

    max_age_s: DurationS = Field(
        7200.0, alias="max_age", gt=0, description="People not seen for longer are new again."
    )
    max_crops: StrictInt = Field(
        20_000, ge=1, le=100_000_000, description="Most crops held; the oldest leave first."
    )
    memory_bytes: SizeBytes | None = Field(
        None, alias="memory", gt=0, description="Upper bound in addition to max_crops."
    )


class MatcherConfig(Section):
    """How crops are compared."""

    device: Device = Field("auto", description="auto is a GPU when there is one, else the CPU.")
    weights: Weights = Field("default", description="A file, or a name of `streamreid weights`.")
    sha256: Sha256 | None = Field(None, description="Refuse a weights file with another digest.")
    features: Literal[
        "auto",
        "openvino-bf16",
        "openvino-fp32",
        "onnxruntime-fp32",
        "torch-bf16",
        "torch-fp32",
        "torch-fp16",
        "torch-fp16-graphs",
    ] = Field("auto", description="Back-end of the feature network; auto measures once.")
    exact: StrictBool = Field(False, description="Score every entry; no shortlist.")
    shortlist: StrictInt = Field(96, ge=1, le=100_000, description="Entries scored exactly.")
    threads: Threads | None = Field(None, description="Threads; by default all cores.")
    batch_size: StrictInt = Field(
        16, ge=1, le=1024, description="Most crops that go through the network together."
    )
    batch_wait_s: DurationS = Field(
        0.02, alias="batch_wait", le=10, description="Longest wait for a batch to fill."
    )
    max_crop_age_s: DurationS = Field(
        30.0, alias="max_crop_age", gt=0, description="Older crops of live cameras are dropped."
    )
    gallery: GalleryConfig = GalleryConfig()


class AssociationConfig(Section):
    """How matches become identities."""

    false_merge_rate: float = Field(
        0.02,
        gt=0,
        le=0.5,
        strict=True,
        description="Accepted share of final links that join two different people.",
    )
    mode: Literal["full", "appearance"] = Field(
        "full", description="appearance leaves out co-occurrence and transition times."
    )
    lag_s: DurationS = Field(
        60.0, alias="lag", description="A decision may change for this long after a track ends."
    )


class TransportConfig(Section):
    """How camera workers reach the matcher."""

    endpoint: str = Field(
        "auto",
        pattern=r"^(auto|ipc:///.{1,90}|tcp://[^\s/@]{1,255}:[0-9]{1,5})$",
        description="auto is a socket file in run_dir; tcp://host:port needs curve off loopback.",
    )
    curve: FilePath | None = Field(None, description="Folder of the keys of `streamreid keys`.")
    window: StrictInt = Field(64, ge=1, le=4096, description="Messages in flight per kind.")
    encoding: Literal["auto", "raw", "jpeg"] = Field(
        "auto", description="How crops travel; auto is raw on one machine, jpeg with curve."
    )


class StoreConfig(Section):
    """Where results go and how long they stay."""

    path: FilePath = Field(
        Path("streamreid.sqlite"), validate_default=True, description="The database."
    )
    retention_s: DurationS = Field(
        72 * 3600.0, alias="retention", gt=0, description="What was stored longer ago is deleted."
    )
    max_size_bytes: SizeBytes | None = Field(
        None, alias="max_size", ge=8 * 2**20, description="Oldest tracks go when it is exceeded."
    )
    durability: Literal["normal", "full"] = Field(
        "normal", description="full survives power loss without losing the last commits."
    )
    keep_crops: StrictBool = Field(True, description="false stores no pictures of people.")
    min_free_bytes: SizeBytes = Field(
        500 * 10**6, alias="min_free", description="Below this no crops are written."
    )


class MetricsConfig(Section):
    """Prometheus metrics and health pages, on this machine only."""

    port: StrictInt | None = Field(None, ge=1, le=65535, description="No port, no metrics.")


class LoggingConfig(Section):
    """What is logged and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important message that is shown."
    )
    format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto is text on a terminal, JSON lines elsewhere."
    )


class Config(Section):
    """The whole of cams.yaml."""

    streamreid: Literal[1] = Field(description="Version of this format.")
    defaults: CameraOptions = Field(
        CameraOptions(), description="For all cameras, unless a camera says otherwise."
    )
    cameras: dict[CameraName, CameraConfig] = Field(
        min_length=1, max_length=MAX_CAMERAS, description="The cameras by name."
    )
    topology: TopologyConfig = TopologyConfig()
    detector: DetectorConfig = DetectorConfig()
    matcher: MatcherConfig = MatcherConfig()
    association: AssociationConfig = AssociationConfig()
    transport: TransportConfig = TransportConfig()
    store: StoreConfig = StoreConfig()
    run_dir: FilePath | None = Field(
        None, description="Sockets, counters, lock and logs; by default next to the store."
    )
    metrics: MetricsConfig = MetricsConfig()
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="before")
    @classmethod
    def _anchor_store(cls, values: object) -> object:
        # A default never sees the folder of the file, and the store's path must start there.
        if isinstance(values, dict) and "store" not in values:
            return {**values, "store": {}}
        return values

    @model_validator(mode="after")
    def _apply_defaults(self) -> Self:
        shared = {name: getattr(self.defaults, name) for name in self.defaults.model_fields_set}
        for name, camera in self.cameras.items():
            missing = {k: v for k, v in shared.items() if k not in camera.model_fields_set}
            self.cameras[name] = camera.model_copy(update=missing)
        return self

    @property
    def camera_ids(self) -> tuple[CameraId, ...]:
        """The names of the cameras in the order of the file."""
        return tuple(CameraId(name) for name in self.cameras)

    def camera(self, camera_id: CameraId) -> CameraConfig:
        """One camera, with `defaults` applied.

        Raises:
            ConfigError: If there is no such camera.
        """
        if camera_id not in self.cameras:
            names = ", ".join(self.cameras)
            raise ConfigError(f"no camera {camera_id!r} in the configuration; there are: {names}")
        return self.cameras[camera_id]

    @property
    def resolved_run_dir(self) -> Path:
        """The folder of sockets, counters, lock and logs."""
        return self.run_dir or self.store.path.with_name(f"{self.store.path.stem}.run")

    def digest(self) -> str:
        """SHA-256 over every value in canonical JSON; secrets never enter it."""
        values: Mapping[str, Any] = self.model_dump(mode="json", by_alias=True)
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
