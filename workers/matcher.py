"""Wires the process of the matcher: receiver, scorer, engine, store, exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from streamreid.clock import SystemClock
from streamreid.config.load import load_config
from streamreid.config.models import Config
from streamreid.runtime.counter_rows import ended_cameras
from streamreid.runtime.counters import create_counters
from streamreid.runtime.endpoints import listen
from streamreid.runtime.intake import Intake
from streamreid.runtime.matcher_loop import MatcherLoop, MatcherOptions
from streamreid.runtime.matcher_setup import (
    build_chores,
    build_engine,
    build_gallery,
    describe_run,
    open_control,
)
from streamreid.runtime.merge import ArrivalOrder, ReplayOrder
from streamreid.runtime.process import StopFlag, die_with_parent, new_incarnation, stop_on_signals
from streamreid.runtime.worker_log import configure_worker_log, exit_code_of, warn
from streamreid.store.writer import open_store

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Match until every file has ended or the supervisor says stop; returns the exit code."""
    die_with_parent(os.environ)
    configure_worker_log("info")
    parser = argparse.ArgumentParser(prog="workers.matcher")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--accepted", type=Path, help="read this copy of the file instead")
    args = parser.parse_args(argv)
    with stop_on_signals() as stop:
        return exit_code_of(lambda: _run(load_config(args.config, accepted=args.accepted), stop))


def _run(config: Config, stop: StopFlag) -> int:
    configure_worker_log(config.logging.level)
    clock = SystemClock()
    epoch = new_incarnation(clock)
    scorer = build_gallery(config)
    _log.info("matcher ready", extra={"fields": scorer.description})
    with (
        create_counters(config.resolved_run_dir, "matcher", "matcher", epoch, clock=clock) as books,
        open_store(
            config.store.path,
            run=describe_run(config, scorer),
            clock=clock,
            durability=config.store.durability,
        ) as writer,
        listen(config, epoch=epoch, counters=books, warn=warn) as receiver,
    ):
        chores = build_chores(config, scorer, writer, books)
        replay = not any(config.camera(camera_id).is_live for camera_id in config.camera_ids)
        engine = build_engine(config, scorer, writer)
        loop = MatcherLoop(
            receiver=receiver,
            merger=ReplayOrder(config.camera_ids) if replay else ArrivalOrder(),
            intake=Intake(
                writer,
                urls={name: config.camera(name).url.safe for name in config.camera_ids},
                weights_digest=scorer.weights_digest,
                keep_crops=config.store.keep_crops,
            ),
            scorer=scorer,
            engine=engine,
            writer=writer,
            chores=chores,
            counters=books,
            clock=clock,
            cameras=config.camera_ids,
            over=partial(ended_cameras, config.resolved_run_dir),
            options=MatcherOptions(
                replay=replay,
                batch_size=config.matcher.batch_size,
                batch_wait_s=config.matcher.batch_wait_s,
                max_crop_age_s=config.matcher.max_crop_age_s,
                gallery_age_s=config.matcher.gallery.max_age_s,
            ),
        )
        chores.attach(open_control(config, engine, writer, loop))
        books.set("ready", 1)
        try:
            loop.run(stop)
        finally:
            chores.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
