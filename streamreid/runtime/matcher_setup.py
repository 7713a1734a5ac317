"""Builds the matcher's gallery and engine from the configuration, and restores what was known."""

import hashlib
import logging
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamreid.clock import SystemClock
from streamreid.config.coefficients import coefficients_for
from streamreid.config.models import Config
from streamreid.control import Arguments, Caller, ControlServer, socket_path
from streamreid.detection.machine import machine_key
from streamreid.detection.weights import default_cache_dir
from streamreid.engine.engine import Engine
from streamreid.engine.settings import EngineSettings
from streamreid.errors import WeightsError
from streamreid.gallery.build import build_scorer
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import GalleryEntry
from streamreid.reid.extract import feature_backends
from streamreid.runtime.corrections import CorrectionDesk
from streamreid.runtime.counters import ProcessCounters
from streamreid.runtime.desk import Desk
from streamreid.runtime.matcher_chores import Chores
from streamreid.runtime.matcher_loop import MatcherLoop
from streamreid.runtime.stream_books import StreamBooks
from streamreid.runtime.topology_desk import PREFIX as TOPOLOGY_PREFIX
from streamreid.runtime.topology_desk import TopologyDesk
from streamreid.store.housekeeping import Housekeeper, HousekeepingRules
from streamreid.store.restore import (
    crops_of_other_weights,
    gallery_rows,
    last_event_s,
    restore,
)
from streamreid.store.rows import RunInfo
from streamreid.store.writer import StoreWriter
from streamreid.types import CameraId

_log = logging.getLogger(__name__)
_LIBRARIES = ("streamreid", "torch", "ultralytics", "av", "numpy", "pyzmq", "trackers")


def build_gallery(config: Config) -> LocalScorer:
    """The scorer that the configuration asks for, empty.

    Raises:
        ConfigError: The device is missing or the memory does not hold a crop.
        WeightsError: The weights cannot be loaded, or are not the pinned ones.
    """
    matcher = config.matcher
    if matcher.threads is not None:
        torch.set_num_threads(matcher.threads)
    remembered = default_cache_dir() / "features" / _choice_name(config)
    features = _read_choice(remembered) if matcher.features == "auto" else matcher.features
    scorer = build_scorer(
        matcher.weights,
        device=matcher.device,
        max_crops=matcher.gallery.max_crops,
        max_age_s=matcher.gallery.max_age_s,
        memory_bytes=matcher.gallery.memory_bytes,
        exact=matcher.exact,
        threads=matcher.threads,
        features=features,
    )
    if matcher.sha256 is not None and scorer.weights_digest != matcher.sha256:
        raise WeightsError(
            f"the weights '{matcher.weights}' have sha256 {scorer.weights_digest}, matcher.sha256 "
            f"allows only {matcher.sha256}; use that file, or change the pin"
        )
    if features == "auto":
        _write_choice(remembered, scorer.extractor.name)
    return scorer


def build_engine(config: Config, scorer: LocalScorer, writer: StoreWriter) -> Engine:
    """The engine, with everything the store still knows put back into it and into the gallery."""
    settings = engine_settings(config, scorer)
    engine = Engine(scorer, settings=settings)
    latest_s = last_event_s(writer)
    if latest_s is None:
        return engine
    since_s, digest = latest_s - settings.max_age_s, scorer.weights_digest
    if others := crops_of_other_weights(writer, since_s=since_s, weights_digest=digest):
        _log.warning(
            "%d stored crops were made with other weights and cannot be compared: who was seen "
            "before gets a new identity; 'streamreid identity merge' joins the two",
            others,
        )
    for rows in gallery_rows(writer, since_s=since_s, weights_digest=digest):
        scorer.restore(
            [GalleryEntry(r.entry_id, r.camera_id, r.track, r.captured_at_s) for r in rows],
            [row.feature_map for row in rows],
            np.stack([np.frombuffer(row.vector, "<f2").astype(np.float32) for row in rows]),
        )
    engine.restore(restore(writer, since_s=since_s, weights_digest=digest))
    return engine


def engine_settings(config: Config, scorer: LocalScorer) -> EngineSettings:
    """What the engine decides by: the user's wishes and what comes with the weights."""
    calibration = scorer.calibration
    fitted = coefficients_for(
        config.store.path,
        config.matcher.weights,
        scorer.weights_digest,
        slope=calibration.scale if calibration else 1.0,
        offset=calibration.offset if calibration else 0.0,
    )
    return fitted.settings(
        config.association.mode,
        false_merge_rate=config.association.false_merge_rate,
        lag_s=config.association.lag_s,
        max_age_s=config.matcher.gallery.max_age_s,
        shortlist=config.matcher.shortlist,
        overlaps=_pairs(config.topology.overlaps),
        disjoint=_pairs(config.topology.disjoint),
    )


def _choice_name(config: Config) -> str:
    """Name of the file that remembers which feature back-end was the fastest here."""
    matcher = config.matcher
    key = f"{matcher.weights}\n{matcher.device}\n{machine_key(matcher.threads or 0)}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _read_choice(path: Path) -> str:
    """The remembered back-end; a fresh measurement each time could change the last digits."""
    try:
        name = path.read_text("utf-8").strip()
    except OSError:
        return "auto"
    known = (*feature_backends(torch.device("cpu")), *feature_backends(torch.device("cuda")))
    return name if name in known else "auto"


def _write_choice(path: Path, name: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n", "utf-8")
    except OSError as exc:
        _log.warning("the choice of a feature back-end cannot be remembered: %s", exc.strerror)


def _pairs(pairs: Iterable[tuple[str, str]]) -> frozenset[tuple[CameraId, CameraId]]:
    return frozenset((CameraId(one), CameraId(other)) for one, other in pairs)


def build_chores(
    config: Config, scorer: LocalScorer, writer: StoreWriter, counters: ProcessCounters
) -> Chores:
    """Disk space, retention and gauges, as the configuration wants them."""
    clock = SystemClock()
    return Chores(
        housekeeper=Housekeeper(
            writer,
            clock=clock,
            rules=HousekeepingRules(
                max_age_s=config.store.retention_s,
                max_size_bytes=config.store.max_size_bytes,
                gallery_age_s=config.matcher.gallery.max_age_s,
                min_free_bytes=config.store.min_free_bytes,
            ),
        ),
        books=StreamBooks(config.resolved_run_dir, writer),
        control=None,
        scorer=scorer,
        counters=counters,
        clock=clock,
    )


def open_control(
    config: Config, engine: Engine, writer: StoreWriter, loop: MatcherLoop
) -> ControlServer:
    """Where operators ask the matcher for corrections, and about the ways between cameras."""

    def now_s() -> float:
        return loop.event_time_s

    corrections = CorrectionDesk(engine, writer, loop.commit_outcome, now_s)
    topology = TopologyDesk(engine, writer, loop.commit_outcome, now_s)

    def handle(verb: str, arguments: Arguments, caller: Caller) -> Mapping[str, Any]:
        desk: Desk = topology if verb.startswith(TOPOLOGY_PREFIX) else corrections
        return desk.handle(verb, arguments, caller)

    return ControlServer(socket_path(config.resolved_run_dir, "matcher"), handle)


def describe_run(config: Config, scorer: LocalScorer) -> RunInfo:
    """What is recorded about this start: digests, versions and every choice that was made."""
    return RunInfo(
        config_digest=config.digest(),
        weights_digest=scorer.weights_digest,
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
        choices={
            **scorer.description,
            "threads": torch.get_num_threads(),
            "detector": config.detector.kind,
        },
    )
