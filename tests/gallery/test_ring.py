"""The rolling gallery keeps its limits exactly and its memory still."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.errors import ConfigError
from streamreid.gallery.ring import TABLE_BYTES, MapLayout, Ring
from streamreid.gallery.scorer import GalleryEntry
from streamreid.gallery.shortlist import STRIPS
from streamreid.reid.matching import FeatureMaps
from streamreid.reid.memory import free_bytes
from streamreid.types import CropKey
from tests.gallery.builders import CHANNELS, HEIGHT, WIDTH, entry, make_ring


def content(numbers: list[int]) -> tuple[FeatureMaps, torch.Tensor]:
    """Maps and vectors that carry the entry's number, to see that rows stay together."""
    tag = torch.tensor(numbers, dtype=torch.float32)
    data = (tag % 100).to(torch.int8)[:, None, None].expand(-1, HEIGHT * WIDTH, CHANNELS)
    vectors = tag[:, None].expand(-1, CHANNELS * STRIPS)
    return FeatureMaps(data, HEIGHT, WIDTH, tag), vectors


def put(ring: Ring, entries: list[GalleryEntry]) -> int:
    return ring.insert(entries, *content([item.entry_id for item in entries]))


def test_entries_keep_their_map_vector_and_columns() -> None:
    ring = make_ring()
    put(ring, [entry(7, track=3, at_s=1.5, camera="door"), entry(9, track=4, at_s=2.5)])
    ring.remove([CropKey(7)])
    put(ring, [entry(12, track=5, at_s=3.5, camera="hall")])
    slots = ring.slots_of([CropKey(12), CropKey(7), CropKey(9)])
    assert ring.entries(slots) == [
        entry(12, track=5, at_s=3.5, camera="hall"),
        entry(9, track=4, at_s=2.5),
    ]
    maps = ring.feature_maps(torch.tensor(slots))
    assert maps.data[:, 0, 0].tolist() == [12, 9]
    assert maps.scales is not None
    assert maps.scales.tolist() == [12.0, 9.0]
    assert ring.vectors[slots, 0].tolist() == [12.0, 9.0]


@pytest.mark.parametrize(
    ("before_s", "left"),
    [(0.0, 4), (10.25, 3), (10.250001, 2), (10.75, 2), (10.999, 1), (11.0, 1), (1e9, 0)],
)
def test_eviction_is_exact(before_s: float, left: int) -> None:
    ring = make_ring()
    times = [10.0, 10.25, 10.75, 11.0]
    put(ring, [entry(i + 1, at_s=at_s) for i, at_s in enumerate(times)])
    assert ring.evict(before_s=before_s) == 4 - left
    assert len(ring) == left


def test_full_gallery_displaces_the_oldest() -> None:
    ring = make_ring(capacity=3)
    put(ring, [entry(i, at_s=float(10 - i)) for i in (1, 2, 3)])
    assert put(ring, [entry(4, at_s=20.0)]) == 1
    assert sorted(ring.entry_id[ring.live].tolist()) == [1, 2, 4]
    assert put(ring, [entry(5, at_s=1.0)]) == 0  # older than everything: it has no place
    assert ring.displaced == 2
    assert put(ring, [entry(i, at_s=30.0 + i) for i in range(10, 20)]) == 3
    assert sorted(ring.entry_id[ring.live].tolist()) == [17, 18, 19]
    assert sorted(ring.vectors[ring.live, 0].tolist()) == [17.0, 18.0, 19.0]


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 8),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("insert"), st.integers(0, 30), st.floats(-50, 50)),
            st.tuples(st.just("evict"), st.just(0), st.floats(-50, 50)),
            st.tuples(st.just("remove"), st.integers(0, 30), st.just(0.0)),
        ),
        max_size=60,
    ),
)
def test_ring_equals_a_plain_dictionary(capacity: int, steps: list[tuple[str, int, float]]) -> None:
    ring = make_ring(capacity)
    plain: dict[int, float] = {}
    for verb, number, at_s in steps:
        if verb == "insert":
            put(ring, [entry(number, at_s=at_s)])
            if number not in plain:
                plain[number] = at_s
                if len(plain) > capacity:
                    # of equally old entries the newcomer is the one that stays
                    del plain[min(plain, key=lambda n: (plain[n], n == number, n))]
        elif verb == "evict":
            gone = [n for n, t in plain.items() if t < at_s]
            assert ring.evict(before_s=at_s) == len(gone)
            for n in gone:
                del plain[n]
        else:
            assert ring.remove([CropKey(number)]) == (number in plain)
            plain.pop(number, None)
        live = ring.live
        found = zip(ring.entry_id[live].tolist(), ring.time_s[live].tolist(), strict=True)
        assert dict(found) == plain
        assert len(ring) == len(plain) <= capacity
        assert ring.vectors[live, 0].float().tolist() == ring.entry_id[live].tolist()


def test_a_simulated_day_leaves_memory_and_bookkeeping_flat() -> None:
    """A day with an insert every two seconds, two hours kept (the benchmark: 20 a second)."""
    ring = make_ring(capacity=8000)
    pointers = (ring.maps.data_ptr(), ring.vectors.data_ptr())
    maps, vectors = content([1])
    largest = 0
    for second in range(0, 24 * 3600, 2):
        ring.insert([entry(second, at_s=float(second))], maps, vectors)
        if second % 60 == 0:
            ring.evict(before_s=second - 7200.0)
            largest = max(largest, ring.bookkeeping_size)
            assert len(ring) == min(second // 2 + 1, 3601)
    assert (ring.maps.data_ptr(), ring.vectors.data_ptr()) == pointers
    assert largest <= 4 * 3601  # four tables: by id, by second twice, order of seconds
    assert ring.displaced == 0


def test_removed_people_leave_no_trace_in_memory() -> None:
    ring = make_ring()
    put(ring, [entry(5, at_s=1.0)])
    slot = ring.slots_of([CropKey(5)])[0]
    assert ring.remove([CropKey(5)]) == 1
    assert not ring.maps[slot].any()
    assert not ring.vectors[slot].any()


def test_bytes_per_crop_is_what_is_reserved() -> None:
    layout = MapLayout(24, 8, 128, torch.int8, 768, torch.bfloat16)
    ring = Ring(layout, 10)
    assert ring.scales is not None
    reserved = sum(t.numel() * t.element_size() for t in (ring.maps, ring.vectors, ring.scales))
    assert reserved == 10 * layout.bytes_per_crop
    assert layout.bytes_per_crop == 24 * 8 * 128 + 4 + 768 * 2


@pytest.mark.parametrize("count", [1000, 1366, 2731, 5462])
def test_tables_beside_the_maps_take_no_more_than_is_reckoned(count: int) -> None:
    """Also at sizes where Python has just doubled a table."""
    layout = MapLayout(1, 1, 1, torch.int8, 1, torch.bfloat16)
    maps = FeatureMaps(torch.zeros(1, 1, 1, dtype=torch.int8), 1, 1, torch.ones(1))
    vector = torch.zeros(1, 1)
    ring = Ring(layout, count)
    arrays = (ring.entry_id, ring.track, ring.time_s, ring.live)
    tracemalloc.start()
    for number in range(count):
        ring.insert([entry(10**6 + number, at_s=number / 20)], maps, vector)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    columns = sum(array.itemsize for array in arrays) * count + 8 * count  # and the camera list
    assert taken + columns <= TABLE_BYTES * count


def test_too_little_memory_is_explained() -> None:
    layout = MapLayout(24, 8, 128, torch.float32, 768, torch.float32)
    with pytest.raises(ConfigError, match=r"needs \d+ MiB .* lower matcher.gallery.max_crops"):
        Ring(layout, 10**13)


def test_memory_that_is_promised_but_not_there_is_refused() -> None:
    """Half as much again as is free: the allocator would say yes, and the kernel kill later."""
    layout = MapLayout(24, 8, 128, torch.int8, 512, torch.bfloat16)
    free = free_bytes(torch.device("cpu"))
    if free is None:
        pytest.skip("this system does not tell how much memory is free")
    with pytest.raises(ConfigError, match=r"cpu has [\d,]+ MiB free: lower matcher"):
        Ring(layout, 3 * free // (2 * layout.bytes_per_crop))


def test_wrong_inputs_are_named() -> None:
    ring = make_ring()
    maps, vectors = content([1])
    with pytest.raises(ValueError, match="capacity must be at least 1"):
        make_ring(capacity=0)
    with pytest.raises(ValueError, match=r"maps must be \(2, 18, 16\)"):
        ring.insert([entry(1), entry(2)], maps, vectors)
    with pytest.raises(ValueError, match=r"vectors must be \(1, 64\)"):
        ring.insert([entry(1)], maps, vectors[:, :3])
    with pytest.raises(ValueError, match=r"torch\.int8"):
        ring.insert([entry(1)], FeatureMaps(maps.data.float(), HEIGHT, WIDTH), vectors)
    with pytest.raises(ValueError, match="no finite capture time"):
        ring.insert([entry(1, at_s=float(np.nan))], maps, vectors)
