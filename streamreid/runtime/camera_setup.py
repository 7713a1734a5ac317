"""Builds the parts of one camera's process from the configuration; imports no torch."""

from streamreid.clock import Clock, SystemClock
from streamreid.config.models import Config
from streamreid.detection.gate import MotionGate
from streamreid.detection.motion import MotionDetector
from streamreid.detection.select import load_detector
from streamreid.messages import Hello
from streamreid.pictures import crop_rgb
from streamreid.runtime.camera_pipeline import CameraPipeline
from streamreid.runtime.counters import ProcessCounters
from streamreid.runtime.endpoints import client_keys, matcher_endpoint
from streamreid.runtime.process import StopFlag
from streamreid.tracking.crops import CropPicker
from streamreid.tracking.tracker import CameraTracker
from streamreid.transport.sender import Sender
from streamreid.transport.zeromq import open_sender
from streamreid.types import CameraId
from streamreid.video.sampler import FrameSampler
from streamreid.video.source import FrameSource, open_source
from streamreid.video.zones import Zones

_JPEG_QUALITY = 90


def open_camera(config: Config, camera_id: CameraId, clock: Clock) -> FrameSource:
    """Open the source of one camera.

    Raises:
        ConfigError: The address is not one that may be opened.
        SourceError: A file does not exist or is no video.
    """
    camera = config.camera(camera_id)
    return open_source(
        camera.url.reveal(),
        camera_id=camera_id,
        clock=clock,
        start_time_s=camera.start_time_s,
        live=camera.live,
    )


def connect(config: Config, hello: Hello, counters: ProcessCounters, stop: StopFlag) -> Sender:
    """Connect to the matcher, which need not be there yet.

    Raises:
        TransportError: The endpoint or the keys cannot be used.
    """
    transport = config.transport
    # Between machines a picture's bytes cost more than packing them.
    jpeg = transport.encoding == "jpeg" or (
        transport.encoding == "auto" and transport.curve is not None
    )
    return open_sender(
        matcher_endpoint(config),
        hello,
        clock=SystemClock(),
        counters=counters,
        outbox=config.camera(hello.camera_id).max_pending,
        stop=stop,
        curve=client_keys(config, hello.camera_id),
        jpeg_quality=_JPEG_QUALITY if jpeg else None,
    )


def build_pipeline(config: Config, camera_id: CameraId) -> CameraPipeline:
    """The stages of one camera; the detector was planned before the workers started.

    Raises:
        WeightsError: The detector's weights are missing or damaged.
        DetectorError: Its back-end cannot run.
    """
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
