"""Wires the process of one camera: source, stages, connection to the matcher, exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2

from streamreid.clock import SystemClock
from streamreid.config.load import load_config
from streamreid.config.models import Config
from streamreid.errors import SourceError
from streamreid.messages import Hello
from streamreid.runtime.camera_loop import run_camera
from streamreid.runtime.camera_setup import build_pipeline, connect, open_camera
from streamreid.runtime.counters import create_counters
from streamreid.runtime.process import StopFlag, die_with_parent, stop_on_signals
from streamreid.runtime.resume import start_of
from streamreid.runtime.worker_log import configure_worker_log, exit_code_of
from streamreid.types import CameraId

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one camera until its file ends or the supervisor says stop; returns the exit code."""
    die_with_parent(os.environ)
    configure_worker_log("info")
    parser = argparse.ArgumentParser(prog="workers.camera")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--accepted", type=Path, help="read this copy of the file instead")
    parser.add_argument("--camera", type=CameraId, required=True)
    args = parser.parse_args(argv)
    with stop_on_signals() as stop:
        load = partial(load_config, args.config, accepted=args.accepted)
        return exit_code_of(lambda: _run(load(), args.camera, stop))


def _run(config: Config, camera_id: CameraId, stop: StopFlag) -> int:
    configure_worker_log(config.logging.level)
    cv2.setNumThreads(1)
    camera, clock = config.camera(camera_id), SystemClock()
    run_dir, live = config.resolved_run_dir, camera.is_live
    start = start_of(run_dir, camera_id, live=live, clock=clock)
    number = start.incarnation
    hello = Hello(camera_id, number, live, 0, 0, "arrival" if live else "file")
    with (
        create_counters(
            run_dir, "camera", camera_id, number, clock=clock, gauges=start.gauges
        ) as counters,
        connect(config, hello, counters, stop) as sender,
    ):
        try:
            source = open_camera(config, camera_id, clock)
            if source.info.note:
                _log.warning(source.info.note)
            try:
                run_camera(
                    source,
                    build_pipeline(config, camera_id),
                    sender,
                    counters,
                    clock=clock,
                    stop=stop,
                    after_s=start.after_s,
                )
            finally:
                source.close()
        except SourceError:
            # The matcher must not wait for a camera that will never come.
            sender.bye("failed")
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
