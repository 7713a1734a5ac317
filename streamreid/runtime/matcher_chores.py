"""What the matcher does besides matching, once a second: disk space, gauges, requests."""

from collections.abc import Sequence

from streamreid.clock import Clock
from streamreid.control import ControlServer
from streamreid.engine.events import IdentityUpdate
from streamreid.gallery.local import LocalScorer
from streamreid.gallery.scorer import Scorer
from streamreid.runtime.counter_table import Counters
from streamreid.runtime.stream_books import StreamBooks
from streamreid.store.housekeeping import Disk, Housekeeper
from streamreid.types import CropKey, IdentityId

_EVERY_S = 1.0
_BOOKS_EVERY_S = 5.0


class Chores:
    """Keeps the store in bounds and the gauges up to date.

    Args:
        housekeeper: Retention and disk space.
        books: Writes the workers' counters into the store.
        control: Where operators ask; None without one.
        scorer: The gallery; crops that retention takes leave it too.
        counters: Where progress is written.
        clock: Monotonic time.
    """

    def __init__(
        self,
        *,
        housekeeper: Housekeeper,
        books: StreamBooks,
        control: ControlServer | None,
        scorer: Scorer,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._housekeeper = housekeeper
        self._books = books
        self._control = control
        self._scorer = scorer
        self._counters = counters
        self._clock = clock
        self._done_s = float("-inf")
        self._booked_s = float("-inf")
        self._identities: set[IdentityId] = set()
        self.disk: Disk = "ok"

    def turn(self, *, event_time_s: float) -> bool:
        """Do what is due.

        Args:
            event_time_s: How far the cameras have come, epoch seconds of capture time.

        Returns:
            True once a second, when everything was looked at.
        """
        if self._control is not None:
            self._counters.add("control_requests", self._control.serve())
        now_s = self._clock.monotonic_s()
        if now_s - self._done_s < _EVERY_S:
            return False
        self._done_s = now_s
        house = self._housekeeper.turn(event_time_s=event_time_s)
        self.disk = house.disk
        self.forget(house.removed.crops)
        self._counters.set("disk_full", house.disk != "ok")
        self._counters.set("store_bytes", house.store_bytes)
        self._counters.set("wal_bytes", house.wal_bytes)
        self._counters.set("disk_free_bytes", house.free_bytes)
        self._counters.set("gallery_crops", len(self._scorer))
        if isinstance(self._scorer, LocalScorer):
            self._counters.set("shortlist_audited", self._scorer.audit.audited)
            self._counters.set("shortlist_missed", self._scorer.audit.missed)
            self._counters.set("shortlist_size", self._scorer.audit.size(0, len(self._scorer)))
        if now_s - self._booked_s >= _BOOKS_EVERY_S:
            self._booked_s = now_s
            self._books.record()
        return True

    def forget(self, crops: Sequence[CropKey]) -> None:
        """Crops that the store has forgotten leave the gallery."""
        if crops:
            self._counters.add("gallery_evicted", self._scorer.remove(crops))

    def count_identities(self, updates: Sequence[IdentityUpdate]) -> None:
        """Keep the number of identities, which the live table shows."""
        for update in updates:
            if update.status == "merged":
                self._identities.discard(update.identity_id)
            elif update.identity_id not in self._identities:
                self._identities.add(update.identity_id)
                self._counters.add("identities_created")
        self._counters.set("identities_now", len(self._identities))

    def attach(self, control: ControlServer) -> None:
        """Answer operators from now on."""
        self._control = control

    def close(self) -> None:
        """Give back what only a running matcher needs."""
        self._books.record()
        self._housekeeper.close()
        if self._control is not None:
            self._control.close()
