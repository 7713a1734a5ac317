"""From a configuration file to a running system: the processes, their folder, their books."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from streamreid.clock import Clock
from streamreid.config.models import Config
from streamreid.detection.select import DetectorPlan, plan_detector
from streamreid.messages import Kind
from streamreid.runtime.accepted import AcceptedConfig
from streamreid.runtime.child import WorkerSpec
from streamreid.runtime.ledger import Ledger
from streamreid.runtime.logs import Emit
from streamreid.runtime.status import RunStatus
from streamreid.runtime.supervisor import Supervisor
from streamreid.store.reader import open_reader
from streamreid.types import CameraId

Report = Callable[[str], None]


def plan_run_detector(config: Config, report: Report) -> DetectorPlan:
    """Choose the detector once for all cameras: download, export and measure before they start.

    Raises:
        WeightsError: Weights are missing, damaged or not as pinned.
        DetectorError: No back-end runs the model here.
    """
    settings = config.detector
    return plan_detector(
        settings.kind,
        settings.weights,
        device=settings.device,
        sha256=settings.sha256,
        backend=None if settings.backend == "auto" else settings.backend,
        threads=settings.threads,
        allow_download=settings.download,
        report=report,
    )


def worker_specs(
    config_path: Path, config: Config, *, accepted: Path | None = None
) -> list[WorkerSpec]:
    """The matcher and one worker per camera; a changed digest makes `reload` restart a worker.

    Args:
        config_path: The file.
        config: What it says.
        accepted: Copy of the file that workers read, so that later edits do not reach them.
    """
    arguments: tuple[str, ...] = ("--config", str(config_path))
    if accepted is not None:
        arguments += ("--accepted", str(accepted))
    shared = _digest(config.detector, config.transport, config.logging)
    matcher = _digest(config.matcher, config.association, config.topology, config.store)
    cameras = [
        WorkerSpec(
            "camera",
            camera_id,
            "workers.camera",
            (*arguments, "--camera", camera_id),
            # The revealed address: a changed password must restart the worker too.
            digest=shared
            + _digest(config.camera(camera_id), config.camera(camera_id).url.reveal()),
            retry_for_ever=config.camera(camera_id).is_live,
        )
        for camera_id in config.camera_ids
    ]
    # What the matcher knows of each camera: where it is, and whether it ever ends.
    known = [(c, config.camera(c).url.safe, config.camera(c).is_live) for c in config.camera_ids]
    return [
        WorkerSpec(
            "matcher",
            "matcher",
            "workers.matcher",
            arguments,
            digest=shared + matcher + _digest(known),
        ),
        *cameras,
    ]


@contextmanager
def build_supervisor(
    config_path: Path,
    config: Config,
    *,
    clock: Clock,
    emit: Emit,
    on_tick: Callable[[RunStatus], None],
) -> Iterator[Supervisor]:
    """The supervisor of a run; the caller holds the store's lock.

    Args:
        config_path: The file; workers read a copy of it that lasts as long as the context.
        config: What it says.
        clock: Monotonic time.
        emit: Where log records go.
        on_tick: Called twice a second.
    """
    run_dir = config.resolved_run_dir
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    accepted = AcceptedConfig(config_path, config)

    def load_specs() -> list[WorkerSpec]:
        return worker_specs(config_path, accepted.read(), accepted=accepted.copy)

    try:
        yield Supervisor(
            load_specs(),
            run_dir=run_dir,
            ledger=Ledger(run_dir, emit, stored=partial(_stored, config.store.path)),
            clock=clock,
            emit=emit,
            load_specs=load_specs,
            on_tick=on_tick,
        )
    finally:
        accepted.forget()


def _stored(
    store: Path, camera: str, incarnation: int, kind: Kind, seqs: Sequence[int]
) -> set[int]:
    """Ask the store itself which acknowledged messages it holds."""
    if not seqs:
        return set()
    with open_reader(store) as reader:
        return set(reader.stored_of(CameraId(camera), incarnation, kind, tuple(seqs)))


def _digest(*sections: object) -> str:
    return hashlib.sha256("\n".join(repr(section) for section in sections).encode()).hexdigest()
