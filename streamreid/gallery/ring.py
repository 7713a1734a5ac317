"""The rolling gallery: preallocated maps, shortlist vectors and times, with exact eviction."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from streamreid.errors import ConfigError
from streamreid.gallery.index import SlotIndex
from streamreid.gallery.scorer import GalleryEntry
from streamreid.reid.feature_maps import needs_scale
from streamreid.reid.matching import FeatureMaps
from streamreid.reid.memory import free_bytes
from streamreid.types import CameraId, CropKey, Int64Array, TrackKey

TABLE_BYTES = 400
"""At most this much of ordinary memory per crop goes into ids, times and tables."""


@dataclass(frozen=True, slots=True)
class MapLayout:
    """Size and dtype of what the gallery keeps per crop.

    Attributes:
        height: Rows of a feature map.
        width: Columns of a feature map.
        channels: Channels of a feature map.
        map_dtype: Storage dtype of the maps: float32, float16, bfloat16, or with one scale a map
            int8 or float8_e4m3fn.
        vector_size: Length of the shortlist vector.
        vector_dtype: Storage dtype of the shortlist vectors.
    """

    height: int
    width: int
    channels: int
    map_dtype: torch.dtype
    vector_size: int
    vector_dtype: torch.dtype

    @property
    def locations(self) -> int:
        """Places per map."""
        return self.height * self.width

    @property
    def bytes_per_crop(self) -> int:
        """Bytes of map, scale and vector of one crop; `TABLE_BYTES` come on top."""
        scale = 4 if needs_scale(self.map_dtype) else 0
        return (
            self.locations * self.channels * self.map_dtype.itemsize
            + scale
            + self.vector_size * self.vector_dtype.itemsize
        )


class Ring:
    """Slots of fixed size that are reused; inserting and removing cost O(1) amortised.

    Memory is reserved once, so it cannot grow. When every slot is taken, the oldest entry makes
    room. The slot of an entry never changes while it lives.

    Args:
        layout: What a slot holds.
        capacity: Number of slots, at least 1.
        device: Where maps and vectors live.
        index: Kept in step with the vectors, for a search that does not read all of them.

    Raises:
        ConfigError: If the device has no room for the slots.
    """

    def __init__(
        self,
        layout: MapLayout,
        capacity: int,
        device: torch.device | str = "cpu",
        *,
        index: SlotIndex | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.layout = layout
        self.capacity = capacity
        self.device = torch.device(device)
        self.index = index
        self.displaced = 0
        self._check_room()
        self.maps = self._reserve((capacity, layout.locations, layout.channels), layout.map_dtype)
        self.vectors = self._reserve((capacity, layout.vector_size), layout.vector_dtype)
        self.scales = (
            self._reserve((capacity,), torch.float32) if needs_scale(layout.map_dtype) else None
        )
        self.entry_id = np.full(capacity, -1, np.int64)
        self.track = np.full(capacity, -1, np.int64)
        self.time_s = np.zeros(capacity, np.float64)
        self._camera: list[CameraId | None] = [None] * capacity
        self._slot_of: dict[int, int] = {}
        self._free = np.arange(capacity - 1, -1, -1, dtype=np.int64)
        self._free_count = capacity
        self._top = 0
        # Entries by whole second: eviction touches the seconds that are over and one boundary.
        self._by_second: dict[int, set[int]] = {}
        self._seconds: list[int] = []

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def top(self) -> int:
        """Every live slot lies below this one."""
        return self._top

    @property
    def live(self) -> Int64Array:
        """Slots of the live entries, ascending."""
        return np.flatnonzero(self.entry_id[: self._top] >= 0)

    @property
    def bookkeeping_size(self) -> int:
        """Number of items in all lists and tables that are not preallocated."""
        inside = sum(len(slots) for slots in self._by_second.values())
        return len(self._slot_of) + len(self._by_second) + inside + len(self._seconds)

    def slots_of(self, entry_ids: Iterable[CropKey]) -> list[int]:
        """Slots of those of the entries that are live, in the given order."""
        found = (self._slot_of.get(entry_id) for entry_id in entry_ids)
        return [slot for slot in found if slot is not None]

    def entries(self, slots: Iterable[int]) -> list[GalleryEntry]:
        """The entries in these slots."""
        return [
            GalleryEntry(
                CropKey(int(self.entry_id[slot])),
                self._camera_of(slot),
                TrackKey(int(self.track[slot])),
                float(self.time_s[slot]),
            )
            for slot in slots
        ]

    def feature_maps(self, slots: Tensor | slice) -> FeatureMaps:
        """The maps in these slots: a view for a slice, a copy for indices."""
        scales = None if self.scales is None else self.scales[slots]
        return FeatureMaps(self.maps[slots], self.layout.height, self.layout.width, scales)

    def insert(self, entries: Sequence[GalleryEntry], maps: FeatureMaps, vectors: Tensor) -> int:
        """Add entries; ids that are already there are left as they are.

        With every slot taken the oldest entry is displaced; an entry older than all others is then
        itself the one that has no place.

        Args:
            entries: What enters, in order.
            maps: Their feature maps in the layout's dtype.
            vectors: Their shortlist vectors, shape `[N, D]`.

        Returns:
            How many entered.

        Raises:
            ValueError: If maps or vectors do not fit the layout or the number of entries.
        """
        self._check(entries, maps, vectors)
        rows: dict[int, int] = {}
        for row, entry in enumerate(entries):
            if entry.entry_id not in self._slot_of:
                slot = self._place(entry)
                if slot is not None:
                    rows[slot] = row
        # A slot may have been displaced again within this call: the last row to take it is the one.
        slots, source = list(rows), list(rows.values())
        if slots:
            self.maps[slots] = maps.data[source].to(self.device)
            self.vectors[slots] = vectors[source].to(self.device, self.layout.vector_dtype)
            if self.scales is not None and maps.scales is not None:
                self.scales[slots] = maps.scales[source].to(self.device)
            if self.index is not None:
                self.index.add(slots, vectors[source].float().cpu().numpy())
        return len(slots)

    def evict(self, *, before_s: float) -> int:
        """Remove every entry captured before `before_s`, exactly, and return how many."""
        removed = 0
        boundary = int(np.floor(before_s))
        while self._seconds and self._seconds[0] < boundary:
            second = heapq.heappop(self._seconds)
            for slot in tuple(self._by_second.get(second, ())):
                self._release(slot)
                removed += 1
            self._by_second.pop(second, None)
        for slot in tuple(self._by_second.get(boundary, ())):
            if self.time_s[slot] < before_s:
                self._release(slot)
                removed += 1
        return removed

    def remove(self, entry_ids: Sequence[CropKey]) -> int:
        """Remove these entries and overwrite their maps and vectors with zeros."""
        slots = self.slots_of(dict.fromkeys(entry_ids))
        for slot in slots:
            self._release(slot)
        if slots:
            self.maps[slots] = 0
            self.vectors[slots] = 0
        return len(slots)

    def _check_room(self) -> None:
        """Ask before reserving: Linux promises memory that it does not have, and kills later."""
        free = free_bytes(self.device)
        if free is not None and self.capacity * self.layout.bytes_per_crop > free:
            raise self._no_room(f"has {free / 2**20:,.0f} MiB free")

    def _reserve(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        try:
            return torch.empty(shape, dtype=dtype, device=self.device)
        except RuntimeError as exc:  # torch has no common class for "out of memory"
            raise self._no_room("has no room for it") from exc

    def _no_room(self, reason: str) -> ConfigError:
        needed = self.capacity * self.layout.bytes_per_crop / 2**20
        return ConfigError(
            f"the gallery of {self.capacity} crops needs {needed:.0f} MiB "
            f"({self.layout.bytes_per_crop} bytes a crop); {self.device} {reason}: "
            "lower matcher.gallery.max_crops or matcher.gallery.memory"
        )

    def _check(self, entries: Sequence[GalleryEntry], maps: FeatureMaps, vectors: Tensor) -> None:
        layout = self.layout
        expected = (len(entries), layout.locations, layout.channels)
        if tuple(maps.data.shape) != expected or maps.data.dtype != layout.map_dtype:
            raise ValueError(
                f"maps must be {expected} {layout.map_dtype}, "
                f"got {tuple(maps.data.shape)} {maps.data.dtype}"
            )
        if tuple(vectors.shape) != (len(entries), layout.vector_size):
            raise ValueError(
                f"vectors must be {(len(entries), layout.vector_size)}, got {tuple(vectors.shape)}"
            )
        for entry in entries:
            if not np.isfinite(entry.captured_at_s):
                raise ValueError(f"entry {entry.entry_id} has no finite capture time")

    def _place(self, entry: GalleryEntry) -> int | None:
        if self._free_count == 0 and not self._displace_oldest(entry.captured_at_s):
            return None
        self._free_count -= 1
        slot = int(self._free[self._free_count])
        self.entry_id[slot] = entry.entry_id
        self.track[slot] = entry.track
        self.time_s[slot] = entry.captured_at_s
        self._camera[slot] = entry.camera_id
        self._slot_of[entry.entry_id] = slot
        self._top = max(self._top, slot + 1)
        second = int(np.floor(entry.captured_at_s))
        if second not in self._by_second:
            self._by_second[second] = set()
            heapq.heappush(self._seconds, second)
        self._by_second[second].add(slot)
        return slot

    def _displace_oldest(self, newcomer_s: float) -> bool:
        """Free one slot; False when the newcomer is older than everything that is there."""
        self.displaced += 1
        while not self._by_second.get(self._seconds[0]):
            self._by_second.pop(heapq.heappop(self._seconds), None)
        slots = self._by_second[self._seconds[0]]
        oldest = min(slots, key=lambda slot: (self.time_s[slot], self.entry_id[slot]))
        if newcomer_s < self.time_s[oldest]:
            return False
        self._release(oldest)
        return True

    def _release(self, slot: int) -> None:
        self._by_second[int(np.floor(self.time_s[slot]))].discard(slot)
        del self._slot_of[int(self.entry_id[slot])]
        if self.index is not None:
            self.index.remove(slot)
        self.entry_id[slot] = -1
        self.track[slot] = -1
        self._camera[slot] = None
        self._free[self._free_count] = slot
        self._free_count += 1
        while self._top and self.entry_id[self._top - 1] < 0:
            self._top -= 1

    def _camera_of(self, slot: int) -> CameraId:
        camera = self._camera[slot]
        if camera is None:
            raise ValueError(f"slot {slot} is empty")
        return camera
