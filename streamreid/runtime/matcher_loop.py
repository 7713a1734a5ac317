"""The loop of the matcher worker: messages in, committed rows and decisions out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamreid.clock import Clock
from streamreid.engine.engine import Engine
from streamreid.engine.events import Outcome
from streamreid.errors import StoreFullError
from streamreid.gallery.scorer import Scorer
from streamreid.messages import KINDS, Bye, CropMessage, Disposition, Hello, Kind, Progress
from streamreid.runtime.counter_table import Counters
from streamreid.runtime.decision_log import DecisionLog
from streamreid.runtime.engine_watch import EngineWatch
from streamreid.runtime.intake import Intake, Item
from streamreid.runtime.matcher_chores import Chores
from streamreid.runtime.merge import Merger
from streamreid.store.rows import Batch, Drop, MessageId
from streamreid.store.writer import StoreWriter
from streamreid.transport.receiver import Received, Receiver
from streamreid.types import CameraId

_IDLE_S = 0.05
_TICK_S = 1.0
_RETRY_FULL_S = 1.0


class LoopCounters(Counters, Protocol):
    """The counters that the loop keeps up to date."""

    def observe_latency(self, latency_s: float) -> None:
        """Count one crop's way from capture to committed row."""


@dataclass(frozen=True, slots=True)
class MatcherOptions:
    """How the loop batches and what it refuses.

    Attributes:
        replay: True when every camera is a file: order and batches then depend on the files alone.
        batch_size: Most crops embedded together.
        batch_wait_s: Longest wait for more crops, seconds.
        max_crop_age_s: Older crops of live cameras are refused as stale, seconds.
        gallery_age_s: Crops older than this leave the gallery, seconds.
    """

    replay: bool
    batch_size: int = 16
    batch_wait_s: float = 0.02
    max_crop_age_s: float = 30.0
    gallery_age_s: float = 7200.0


class MatcherLoop:
    """Receives, orders, embeds, commits, acknowledges, decides, commits; in this order.

    Args:
        receiver: The cameras' messages.
        merger: Puts them in order.
        intake: Turns messages into rows and engine events.
        scorer: The gallery.
        engine: Decides who is who.
        writer: The store.
        chores: Disk space, gauges and requests of operators.
        counters: Where progress is written.
        clock: Wall time and waits.
        cameras: Every camera of the run.
        over: Tells from which of them nothing more will come, besides those that say Bye.
        options: How the loop batches and what it refuses.
    """

    def __init__(
        self,
        *,
        receiver: Receiver,
        merger: Merger,
        intake: Intake,
        scorer: Scorer,
        engine: Engine,
        writer: StoreWriter,
        chores: Chores,
        counters: LoopCounters,
        clock: Clock,
        cameras: Iterable[CameraId],
        over: Callable[[], Iterable[CameraId]] = frozenset,
        options: MatcherOptions,
    ) -> None:
        self._receiver = receiver
        self._merger = merger
        self._intake = intake
        self._scorer = scorer
        self._engine = engine
        self._writer = writer
        self._chores = chores
        self._counters = counters
        self._clock = clock
        self._options = options
        self._watch = EngineWatch(engine, counters)
        self._expected = set(cameras)
        self._ended: set[CameraId] = set()
        self._over = over
        self._end_what_is_over()
        self._decisions = DecisionLog(writer, counters, chores)
        self._event_time_s = float("-inf")
        self._evicted_to_s = float("-inf")
        self._behind = False
        self._held: list[Item] = []

    @property
    def done(self) -> bool:
        """True when every file has ended and everything of it is decided upon."""
        waiting = bool(self._held) or len(self._merger) > 0
        return self._options.replay and self._ended >= self._expected and not waiting

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until all files have ended or somebody asks to stop; then decide what is due."""
        while not stop() and not self.done:
            self.turn()
        while self._gather(0.0) or self._process_ready():
            self._counters.add("turns")
        # Files begin anew when they are run again, so what was seen of them is decided upon now;
        # a live run goes on where it stopped.
        if self._options.replay:
            self._decisions.add(self._engine.close(self._event_time_s))
        else:
            self._decisions.add(self._engine.tick(self._clock.now_s()))
        self._watch.look()
        self._decisions.save()

    @property
    def event_time_s(self) -> float:
        """How far the cameras have come, epoch seconds of capture time."""
        return self._event_time_s

    def commit_outcome(self, outcome: Outcome) -> None:
        """Write what a correction changed, after everything that was decided before it."""
        self._decisions.add(outcome)
        self._decisions.save()

    def turn(self) -> None:
        """Wait a moment for messages and do what they cause, at most one batch of crops."""
        self._counters.add("turns")
        self._gather(0.0 if self._behind else _IDLE_S)
        self._behind = self._process_ready()
        self._tick()
        self._decisions.save()

    def _gather(self, timeout_s: float) -> int:
        """Take messages: until a batch of crops is there, or `batch_wait_s` after the first."""
        count = crops = 0
        deadline_s = None
        while crops < self._options.batch_size:
            received = self._receiver.poll(timeout_s)
            for one in received:
                self._take(one)
            count += len(received)
            crops += sum(isinstance(one.message, CropMessage) for one in received)
            now_s = self._clock.monotonic_s()
            if deadline_s is None:
                if not crops:
                    break
                deadline_s = now_s + self._options.batch_wait_s
            timeout_s = deadline_s - now_s
            if timeout_s <= 0:
                break
        return count

    def _take(self, one: Received) -> None:
        message = one.message
        if isinstance(message, Hello):
            lost = self._intake.hello(message)
            if lost:
                self._process(lost)
        elif isinstance(message, Progress):
            self._merger.progress(one.camera_id, message.captured_at_s)
        elif isinstance(message, Bye):
            for kind, produced in zip(KINDS, message.produced, strict=True):
                self._writer.set_produced(one.camera_id, one.incarnation, kind, produced, {})
            self._end(one.camera_id)
        else:
            self._merger.add(one.camera_id, one.incarnation, message)

    def _end_what_is_over(self) -> None:
        """A camera may have ended before this process began, or be given up by the supervisor."""
        for camera_id in self._expected.intersection(self._over()) - self._ended:
            self._end(camera_id)

    def _end(self, camera_id: CameraId) -> None:
        self._merger.end(camera_id)
        self._ended.add(camera_id)

    def _process_ready(self) -> bool:
        """Process what the merger gives, at most one batch; True when there may be more."""
        if self._options.replay and self._chores.disk != "ok":
            # Files wait: nothing of them is acknowledged until there is room.
            return False
        items, self._held = self._held, []
        if not items:
            items = self._next_batch()
        if items:
            self._process(items)
        return bool(items) and not self._held

    def _next_batch(self) -> list[Item]:
        items: list[Item] = []
        crops = 0
        for sequenced in self._merger.ready():
            item = self._intake.item(sequenced)
            items.append(item)
            crops += item.crop is not None
            if crops >= self._options.batch_size:
                break
        return items

    def _process(self, items: Sequence[Item]) -> None:
        """Embed, commit, acknowledge and decide upon items in order."""
        refused = {
            item.message: reason
            for item in items
            if item.message is not None and (reason := self._refusal(item)) is not None
        }
        fresh = [item for item in items if item.message not in refused]
        self._embed([item for item in fresh if item.crop is not None])
        batch = Batch(
            crops=self._intake.crop_rows(fresh),
            detections=tuple(item.rows for item in fresh if item.rows is not None),
            ends=tuple(item.end for item in fresh if item.end is not None),
            drops=tuple(Drop(message, reason) for message, reason in refused.items()),
        )
        try:
            committed = self._writer.commit(batch)
        except StoreFullError:
            self._store_full(items)
            return
        self._counters.add("commits")
        duplicates = committed.duplicates
        self._acknowledge(
            {
                item.message: committed.disposition(
                    item.message, refused.get(item.message, "stored")
                )
                for item in items
                if item.message is not None
            }
        )
        stored = [item for item in fresh if item.message not in duplicates]
        for item in stored:
            self._observe(item)
        self._count(stored, refused, duplicates)

    def _refusal(self, item: Item) -> Disposition | None:
        """Why a message is not stored, None when it is."""
        # Little room: pictures are refused first; the rest is small, and ends when there is none.
        if self._options.replay:
            return None
        if self._chores.disk == "full" or (self._chores.disk == "low" and item.crop is not None):
            return "disk_full"
        if item.crop is None:
            return None
        age_s = self._clock.now_s() - item.crop.captured_at_s
        return "stale" if age_s > self._options.max_crop_age_s else None

    def _embed(self, items: Sequence[Item]) -> None:
        """Feature maps of a batch; a replay embeds one by one, so that no sum depends on timing."""
        size = 1 if self._options.replay else self._options.batch_size
        for start in range(0, len(items), size):
            part = items[start : start + size]
            self._intake.embed(part, self._scorer)
            self._counters.add("crops_embedded", len(part))
            self._counters.add("batches")

    def _acknowledge(self, dispositions: Mapping[MessageId, Disposition]) -> None:
        groups: dict[tuple[CameraId, int, Kind], list[tuple[int, Disposition]]] = {}
        for name, disposition in dispositions.items():
            key = (name.camera_id, name.incarnation, name.kind)
            groups.setdefault(key, []).append((name.seq, disposition))
        for (camera_id, incarnation, kind), entries in groups.items():
            self._receiver.ack(camera_id, incarnation, kind, entries)

    def _store_full(self, items: Sequence[Item]) -> None:
        """No room: nothing was written; files wait, live cameras count the loss."""
        self._counters.set("disk_full", 1)
        self._counters.add("store_errors")
        if self._options.replay:
            self._held = list(items)
            self._clock.sleep(_RETRY_FULL_S)
            return
        self._counters.add("crops_disk_full", sum(item.crop is not None for item in items))
        self._acknowledge({item.message: "disk_full" for item in items if item.message is not None})
        self._clock.sleep(_RETRY_FULL_S)

    def _observe(self, item: Item) -> None:
        """Tell gallery and engine about one committed item."""
        now_s = item.at_s if self._options.replay else self._clock.now_s()
        self._event_time_s = max(self._event_time_s, now_s)
        self._evict(self._event_time_s)
        if item.entry is not None and item.embedding is not None:
            self._scorer.insert([item.entry], item.embedding)
        for event in item.events:
            self._decisions.add(self._engine.observe(event, self._event_time_s))

    def _evict(self, now_s: float) -> None:
        """Let old crops leave the gallery, once per second of event time."""
        if now_s - self._evicted_to_s >= _TICK_S:
            self._evicted_to_s = now_s
            gone = self._scorer.evict(before_s=now_s - self._options.gallery_age_s)
            self._counters.add("gallery_evicted", gone)

    def _tick(self) -> None:
        """Once a second: chores, and live time passes for the engine although nobody is seen."""
        if not self._chores.turn(event_time_s=self._event_time_s):
            return
        self._counters.set("undecided_tracks", self._engine.pending)
        self._watch.look()
        self._counters.set("queue_depth", len(self._merger))
        self._counters.set("watermark_at_s", self._event_time_s)
        if self._options.replay:
            self._end_what_is_over()
            return
        self._evict(self._clock.now_s())
        self._decisions.add(self._engine.tick(self._clock.now_s()))

    def _count(
        self,
        stored: Sequence[Item],
        refused: Mapping[MessageId, Disposition],
        duplicates: frozenset[MessageId],
    ) -> None:
        crops = [item.crop for item in stored if item.crop is not None]
        self._counters.add("crops_stored", len(crops))
        self._counters.add("crops_stale", sum(name.kind == "crop" for name in refused))
        self._counters.add("crops_duplicate", sum(name.kind == "crop" for name in duplicates))
        if not self._options.replay:
            now_s = self._clock.now_s()
            for crop in crops:
                self._counters.observe_latency(max(0.0, now_s - crop.captured_at_s))
