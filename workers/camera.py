"""Wires the process of one camera: source, stages, connection to the matcher, exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import structlog

from streamreid.clock import SystemClock
from streamreid.config.load import load_config
from streamreid.config.models import CameraConfig, Config
from streamreid.detection.gate import MotionGate
from streamreid.detection.motion import MotionDetector
from streamreid.detection.select import load_detector
from streamreid.errors import SourceError, StreamreidError
from streamreid.messages import Hello
from streamreid.runtime.camera_loop import run_camera
from streamreid.runtime.camera_pipeline import CameraPipeline
from streamreid.runtime.counters import ProcessCounters, create_counters
from streamreid.runtime.endpoints import client_keys, matcher_endpoint
from streamreid.runtime.process import StopFlag, die_with_parent, new_incarnation, stop_on_signals
from streamreid.runtime.worker_log import configure_worker_log
from streamreid.tracking.crops import CropPicker
from streamreid.tracking.tracker import CameraTracker
from streamreid.transport.sender import Sender
from streamreid.transport.zeromq import open_sender
from streamreid.types import CameraId, TimeSource
from streamreid.video.image import crop_rgb
from streamreid.video.sampler import FrameSampler
from streamreid.video.source import open_source
from streamreid.video.zones import Zones

_JPEG_QUALITY = 90
_log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one camera until its file ends or the supervisor says stop; returns the exit code."""
    die_with_parent(os.environ)
    parser = argparse.ArgumentParser(prog="workers.camera")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--camera", type=CameraId, required=True)
    args = parser.parse_args(argv)
    with stop_on_signals() as stop:
        try:
            config = load_config(args.config)
            configure_worker_log(config.logging.level)
            return _run(config, args.camera, stop)
        except StreamreidError as error:
            _log.error(str(error))
            return error.exit_code


def _run(config: Config, camera_id: CameraId, stop: StopFlag) -> int:
    cv2.setNumThreads(1)
    camera, clock = config.camera(camera_id), SystemClock()
    incarnation = new_incarnation(clock)
    hello = Hello(camera_id, incarnation, camera.is_live, 0, 0, _time_source(camera))
    with (
        create_counters(
            config.resolved_run_dir, "camera", camera_id, incarnation, clock=clock
        ) as counters,
        _connect(config, camera, hello, counters, stop) as sender,
    ):
        try:
            source = open_source(
                camera.url.reveal(),
                camera_id=camera_id,
                clock=clock,
                start_time_s=camera.start_time_s,
                live=camera.live,
            )
            if source.info.note:
                _log.warning(source.info.note)
            try:
                run_camera(
                    source,
                    _pipeline(config, camera_id),
                    sender,
                    counters,
                    clock=clock,
                    stop=stop,
                )
            finally:
                source.close()
        except SourceError:
            # The matcher must not wait for a camera that will never come.
            sender.bye("failed")
            raise
        finally:
            counters.mark_closed()
    return 0


def _connect(
    config: Config, camera: CameraConfig, hello: Hello, counters: ProcessCounters, stop: StopFlag
) -> Sender:
    endpoint = matcher_endpoint(config)
    jpeg = config.transport.encoding == "jpeg" or (
        config.transport.encoding == "auto" and config.transport.curve is not None
    )
    return open_sender(
        endpoint,
        hello,
        clock=SystemClock(),
        counters=counters,
        outbox=camera.max_pending,
        stop=stop,
        curve=client_keys(config, hello.camera_id),
        jpeg_quality=_JPEG_QUALITY if jpeg else None,
    )


def _pipeline(config: Config, camera_id: CameraId) -> CameraPipeline:
    camera, settings = config.camera(camera_id), config.detector
    detector = load_detector(
        settings.kind,
        settings.weights,
        device=settings.device,
        confidence=float(settings.confidence),
        sha256=settings.sha256,
        backend=None if settings.backend == "auto" else settings.backend,
        threads=settings.threads,
    )
    return CameraPipeline(
        sampler=FrameSampler(camera.detect_fps),
        zones=Zones(mask=camera.mask, roi=camera.roi),
        # The motion detector learns the background from every frame; nothing may be kept from it.
        gate=None if isinstance(detector, MotionDetector) else MotionGate(),
        detector=detector,
        tracker=CameraTracker(
            camera_id, detect_fps=camera.detect_fps, confidence=float(settings.confidence)
        ),
        picker=CropPicker(crop_rgb),
    )


def _time_source(camera: CameraConfig) -> TimeSource:
    return "arrival" if camera.is_live else "file"


if __name__ == "__main__":
    sys.exit(main())
