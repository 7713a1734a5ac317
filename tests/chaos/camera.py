"""A camera worker that makes crops out of nothing and sends them over the real transport."""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

from streamreid.clock import SystemClock
from streamreid.messages import Hello
from streamreid.runtime.counters import create_counters
from streamreid.runtime.process import die_with_parent, new_incarnation, stop_on_signals
from streamreid.transport.keys import CurveClient, load_keys, load_public_key
from streamreid.transport.zeromq import open_sender
from streamreid.types import CameraId, Crop, TrackId, TrackSummary

RING = 200_000
_FRAME_S = 0.01


def main() -> int:
    """Send until asked to stop."""
    die_with_parent(os.environ)
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--camera", type=CameraId, required=True)
    parser.add_argument("--per-frame", type=int, default=5)
    args = parser.parse_args()
    clock = SystemClock()
    incarnation = new_incarnation(clock)
    keys = args.run_dir / "keys"
    with (
        stop_on_signals() as stop,
        create_counters(
            args.run_dir, "camera", args.camera, incarnation, clock=clock, ring=RING
        ) as counters,
        open_sender(
            args.endpoint,
            Hello(args.camera, incarnation, True, 640, 360, "arrival"),
            clock=clock,
            counters=counters,
            outbox=200,
            curve=CurveClient(
                load_keys(keys / "worker.secret"), load_public_key(keys / "matcher.public")
            ),
        ) as sender,
    ):
        image = np.zeros((64, 32, 3), np.uint8)
        while not stop():
            now_s = clock.now_s()
            counters.add("frames_decoded")
            for number in range(args.per_frame):
                sender.send_crop(
                    Crop(
                        camera_id=args.camera,
                        track_id=TrackId(number),
                        captured_at_s=now_s,
                        track_started_at_s=now_s,
                        box_xyxy=np.zeros(4, np.float32),
                        confidence=0.5,
                        quality=0.5,
                        image=image,
                    )
                )
            sender.send_track(TrackSummary(args.camera, TrackId(0), now_s, now_s, 1, "left"))
            sender.pump(0.0)
            time.sleep(_FRAME_S)
        sender.drain(2.0)
        sender.bye("stop")
    return 0


if __name__ == "__main__":
    sys.exit(main())
