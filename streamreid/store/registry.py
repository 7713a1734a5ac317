"""Cameras, workers and their counters: small facts that must not fail because a disk is full."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from streamreid.errors import StoreError, StoreFullError, mask_credentials
from streamreid.messages import KINDS, Kind
from streamreid.store.keys import next_id
from streamreid.types import CameraId

_Parameters = tuple[object, ...] | Mapping[str, object]

_UPSERT_CAMERA = """
    INSERT INTO cameras (id, name, url, width, height, time_source, clock_state)
    VALUES (:id, :name, :url, :width, :height, :time_source, :clock_state)
    ON CONFLICT (name) DO UPDATE SET
        url = excluded.url,
        width = CASE WHEN excluded.width > 0 THEN excluded.width ELSE width END,
        height = CASE WHEN excluded.height > 0 THEN excluded.height ELSE height END,
        time_source = coalesce(excluded.time_source, time_source),
        clock_state = coalesce(excluded.clock_state, clock_state)
"""

_SETTLE_CRASHES = """
    UPDATE streams SET dropped = json_set(dropped, '$.worker_crash', max(0,
        dropped ->> '$.worker_crash' + produced - stored
            - (SELECT sum(value) FROM json_each(streams.dropped))))
    WHERE dropped ->> '$.worker_crash' > 0
        AND stored + (SELECT sum(value) FROM json_each(streams.dropped)) > produced
"""


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """What is told about a camera.

    Attributes:
        url: Its address; credentials are masked again before it is written.
        width: Frame width in pixels, 0 while unknown.
        height: Frame height in pixels, 0 while unknown.
        time_source: Where its times come from, None while unknown.
        clock_state: What is known about its clock.
    """

    url: str
    width: int = 0
    height: int = 0
    time_source: str | None = None
    clock_state: str | None = None


class Registry:
    """Writes such facts at once, or with the next commit that has room.

    Args:
        connection: The open database.
        transaction: Begins and ends a transaction.

    Attributes:
        cameras: Row id of every camera by name.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._connection = connection
        self._transaction = transaction
        self._next_camera = next_id(connection, "cameras")
        self._waiting: dict[tuple[object, ...], tuple[str, Sequence[_Parameters]]] = {}
        rows = connection.execute("SELECT id, name FROM cameras")
        self.cameras: dict[CameraId, int] = {CameraId(name): row for row, name in rows}

    def row(self, camera_id: CameraId) -> int:
        """Row id of a registered camera.

        Raises:
            StoreError: If it is not registered.
        """
        if camera_id not in self.cameras:
            raise StoreError(f"camera {camera_id!r} is not registered in this store")
        return self.cameras[camera_id]

    def camera(self, camera_id: CameraId, facts: CameraFacts) -> int:
        """Add a camera or bring its row up to date; unknown values leave what is there."""
        row = self.cameras.get(camera_id)
        if row is None:
            row, self._next_camera = self._next_camera, self._next_camera + 1
            self.cameras[camera_id] = row
        values = {
            **{"id": row, "name": camera_id, "url": mask_credentials(facts.url)},
            **{"width": facts.width, "height": facts.height},
            **{"time_source": facts.time_source, "clock_state": facts.clock_state},
        }
        self._say(("camera", camera_id), _UPSERT_CAMERA, [values])
        return row

    def stream(self, camera_id: CameraId, incarnation: int) -> None:
        """Make the counters of a camera worker's three kinds of messages."""
        camera = self.row(camera_id)
        self._say(
            ("stream", camera, incarnation),
            "INSERT INTO streams (camera_id, incarnation, kind) VALUES (?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            [(camera, incarnation, kind) for kind in KINDS],
        )

    def produced(
        self,
        camera_id: CameraId,
        incarnation: int,
        kind: Kind,
        count: int,
        dropped: Mapping[str, int],
    ) -> None:
        """Record a camera worker's own counters; see `StoreWriter.set_produced`."""
        camera = self.row(camera_id)
        self._say(
            ("produced", camera, incarnation, kind),
            "UPDATE streams SET produced = ?, dropped = json_patch(dropped, ?) "
            "WHERE camera_id = ? AND incarnation = ? AND kind = ?",
            # null takes a reason out: a file that is read again makes good what a crash had cost
            [
                (
                    count,
                    json.dumps({reason: number or None for reason, number in dropped.items()}),
                    camera,
                    incarnation,
                    kind,
                )
            ],
        )

    def settle_crashes(self) -> None:
        """Take back losses of killed workers that did arrive.

        A worker that is killed between a commit and its acknowledgement is booked as having taken
        the message with it; the store knows better. Only ever makes a loss smaller.
        """
        self._say(("settled",), _SETTLE_CRASHES, [()])

    def write_waiting(self) -> None:
        """Write what waits, inside a transaction that somebody else began."""
        for statement, rows in self._waiting.values():
            self._connection.executemany(statement, rows)

    def written(self) -> None:
        """That transaction was committed."""
        self._waiting.clear()

    def _say(self, name: tuple[object, ...], statement: str, rows: Sequence[_Parameters]) -> None:
        # The last word under one name is enough, so this stays small however long it is full.
        self._waiting.pop(name, None)
        self._waiting[name] = (statement, rows)
        try:
            with self._transaction():
                self.write_waiting()
            self.written()
        except StoreFullError:
            # Kept, and written with the next commit that succeeds.
            return
