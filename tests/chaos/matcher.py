"""A matcher that only stores what it gets, slowly, over the real transport."""

import argparse
import os
import sqlite3
import sys
import time
from pathlib import Path

from streamreid.clock import SystemClock
from streamreid.messages import CropMessage, TrackMessage
from streamreid.runtime.counters import create_counters
from streamreid.runtime.process import die_with_parent, new_incarnation, stop_on_signals
from streamreid.transport.keys import CurveServer, load_keys
from streamreid.transport.receiver import Receiver
from streamreid.transport.zeromq import open_receiver

SCHEMA = """
PRAGMA journal_mode=wal;
PRAGMA synchronous=normal;
CREATE TABLE IF NOT EXISTS messages(
    camera TEXT, incarnation INTEGER, kind TEXT, seq INTEGER,
    PRIMARY KEY(camera, incarnation, kind, seq)
) WITHOUT ROWID;
"""


def main() -> int:
    """Store until asked to stop."""
    die_with_parent(os.environ)
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds per turn: overload")
    args = parser.parse_args()
    clock = SystemClock()
    epoch = new_incarnation(clock)
    store = sqlite3.connect(args.run_dir / "chaos.sqlite", isolation_level=None)
    store.executescript(SCHEMA)
    keys = args.run_dir / "keys"
    with (
        stop_on_signals() as stop,
        create_counters(args.run_dir, "matcher", "matcher", epoch, clock=clock) as counters,
        open_receiver(
            args.endpoint,
            epoch=epoch,
            counters=counters,
            curve=CurveServer(load_keys(keys / "matcher.secret"), keys / "allowed"),
        ) as receiver,
    ):
        counters.set("ready", 1)
        while not stop():
            counters.add("turns")
            store_turn(receiver, store)
            time.sleep(args.pause)
        store_turn(receiver, store)
    return 0


def store_turn(receiver: Receiver, store: sqlite3.Connection) -> None:
    """Store what arrived, commit, and only then acknowledge."""
    rows = []
    for received in receiver.poll(0.05, limit=32):
        message = received.message
        if isinstance(message, CropMessage | TrackMessage):
            kind = "crop" if isinstance(message, CropMessage) else "track"
            rows.append((received.camera_id, received.incarnation, kind, message.seq))
    if not rows:
        return
    store.execute("BEGIN")
    store.executemany("INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
    store.execute("COMMIT")
    for camera_id, incarnation, kind, seq in rows:
        receiver.ack(
            camera_id, incarnation, "crop" if kind == "crop" else "track", [(seq, "stored")]
        )


if __name__ == "__main__":
    sys.exit(main())
