"""The fused GPU kernels: correlation tile, both maxima and the weighted sums, nothing else written.

Gallery maps are one long matrix of rows (location-major), so a slab of rows may cross from one map
to the next; only its groups of `GROUP` rows must not, which `GROUP` dividing n ensures. A program
takes a slab against all locations of one query. The maximum over query locations of each gallery
row is complete there, and is weighted and summed at once. The maximum over gallery locations is
complete only within a group and goes out as n values per group: 2.3 KB per pair at 24x8, where the
tile would have been 147 KB. A second small kernel joins the groups of a map and makes the score.

Importing this module needs Triton; `streamreid.reid.matching_cuda` does so only where it is there.
Under `TRITON_INTERPRET=1` the same kernels run on a CPU for tests.
"""

import triton
import triton.language as tl


@triton.jit
def slab_maxima(
    query,  # [Q, LOCATIONS, CHANNELS]
    gallery,  # [rows, CHANNELS]
    row_weight,  # [LOCATIONS], weight of each gallery location
    row_sum,  # out [Q, rows / GROUP]: weighted sum of row maxima of each group
    column_max,  # out [Q, rows / GROUP, LOCATIONS]: column maxima within each group
    row_max,  # out [Q, rows], only with KEEP_ROWS
    rows,
    LOCATIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
    GROUP: tl.constexpr,
    LEFT: tl.constexpr,  # columns of the left tile; LEFT + RIGHT covers LOCATIONS
    RIGHT: tl.constexpr,  # columns of the right tile; 0 for none
    DEPTH: tl.constexpr,  # channels per step
    SUMS: tl.constexpr,  # type of the sums: int32 for int8 maps, else float32
    KEEP_ROWS: tl.constexpr,
    SLAB: tl.constexpr,  # rows per step
    STEPS: tl.constexpr,  # slabs per program
):
    """One program: STEPS slabs of gallery rows against one query."""
    query_index = tl.program_id(1).to(tl.int64)
    query_map = query + query_index * LOCATIONS * CHANNELS
    groups = rows // GROUP
    # With few channels the query's tiles do not depend on the step: the compiler keeps them.
    left_map = _columns(query_map, 0, 0, LOCATIONS, CHANNELS, LEFT, DEPTH)
    right_map = _columns(query_map, LEFT, 0, LOCATIONS, CHANNELS, RIGHT, DEPTH)
    for step in range(STEPS):
        slab = tl.program_id(0) * STEPS + step
        row = slab * SLAB + tl.arange(0, SLAB)
        slab_map = _rows(gallery, row, 0, rows, CHANNELS, DEPTH)
        left_tile = tl.dot(slab_map, tl.trans(left_map), out_dtype=SUMS)
        right_tile = tl.dot(slab_map, tl.trans(right_map), out_dtype=SUMS)
        for start in range(DEPTH, CHANNELS, DEPTH):
            slab_map = _rows(gallery, row, start, rows, CHANNELS, DEPTH)
            left_part = _columns(query_map, 0, start, LOCATIONS, CHANNELS, LEFT, DEPTH)
            left_tile = tl.dot(slab_map, tl.trans(left_part), left_tile, out_dtype=SUMS)
            right_part = _columns(query_map, LEFT, start, LOCATIONS, CHANNELS, RIGHT, DEPTH)
            right_tile = tl.dot(slab_map, tl.trans(right_part), right_tile, out_dtype=SUMS)
        group = slab * (SLAB // GROUP) + tl.arange(0, SLAB // GROUP)
        out = column_max + (query_index * groups + group.to(tl.int64))[:, None] * LOCATIONS
        group_ok = group < groups
        best = tl.maximum(
            _reduce(left_tile, out, group_ok, 0, LOCATIONS, GROUP, SLAB, LEFT),
            _reduce(right_tile, out, group_ok, LEFT, LOCATIONS, GROUP, SLAB, RIGHT),
        )
        weight = tl.load(row_weight + row % LOCATIONS)
        weighted = tl.sum(tl.reshape(best * weight, (SLAB // GROUP, GROUP)), axis=1)
        tl.store(row_sum + query_index * groups + group, weighted, mask=group_ok)
        if KEEP_ROWS:
            tl.store(row_max + query_index * rows + row, best, mask=row < rows)


@triton.jit
def _rows(gallery, row, start, rows, CHANNELS: tl.constexpr, DEPTH: tl.constexpr):
    """A slab of gallery rows, DEPTH channels of it; zero outside."""
    depth = start + tl.arange(0, DEPTH)
    at = gallery + row.to(tl.int64)[:, None] * CHANNELS + depth[None, :]
    return tl.load(at, mask=(row < rows)[:, None] & (depth[None, :] < CHANNELS), other=0.0)


@triton.jit
def _columns(
    query_map,
    first: tl.constexpr,
    start,
    LOCATIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """WIDTH query locations from `first` on, DEPTH channels of each; zero outside."""
    column = first + tl.arange(0, WIDTH)
    depth = start + tl.arange(0, DEPTH)
    at = query_map + column[:, None] * CHANNELS + depth[None, :]
    return tl.load(at, mask=(column[:, None] < LOCATIONS) & (depth[None, :] < CHANNELS), other=0.0)


@triton.jit
def _reduce(
    tile,
    out,
    group_ok,
    first: tl.constexpr,
    LOCATIONS: tl.constexpr,
    GROUP: tl.constexpr,
    SLAB: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Store the column maxima of each group of rows; return the maximum of each row."""
    values = tile.to(tl.float32)
    column = first + tl.arange(0, WIDTH)
    within = tl.max(tl.reshape(values, (SLAB // GROUP, GROUP, WIDTH)), axis=1)
    tl.store(out + column[None, :], within, mask=group_ok[:, None] & (column[None, :] < LOCATIONS))
    return tl.max(tl.where(column[None, :] < LOCATIONS, values, float("-inf")), axis=1)


@triton.jit
def join_groups(
    row_sum,  # [Q, maps * GROUPS]
    column_max,  # [Q, maps * GROUPS, LOCATIONS]
    column_weight,  # [LOCATIONS], weight of each query location
    query_scale,  # [Q]
    gallery_scale,  # [maps]
    score,  # out [Q, maps]
    maps,
    offset,
    LOCATIONS: tl.constexpr,
    GROUPS: tl.constexpr,  # groups per map
    WIDTH: tl.constexpr,  # power of two that covers LOCATIONS
    MAPS: tl.constexpr,  # maps per program
):
    """One program: the scores of MAPS maps against one query."""
    query_index = tl.program_id(1).to(tl.int64)
    item = tl.program_id(0) * MAPS + tl.arange(0, MAPS)
    item_ok = item < maps
    column = tl.arange(0, WIDTH)
    column_ok = column < LOCATIONS
    best = tl.full((MAPS, WIDTH), float("-inf"), tl.float32)
    total = tl.zeros((MAPS,), tl.float32)
    for part in tl.static_range(GROUPS):
        group = (query_index * maps + item.to(tl.int64)) * GROUPS + part
        values = tl.load(
            column_max + group[:, None] * LOCATIONS + column[None, :],
            mask=item_ok[:, None] & column_ok[None, :],
            other=0.0,
        )
        best = tl.maximum(best, values)
        total += tl.load(row_sum + group, mask=item_ok, other=0.0)
    weight = tl.load(column_weight + column, mask=column_ok, other=0.0)
    total += tl.sum(best * weight[None, :], axis=1)
    scale = tl.load(query_scale + query_index) * tl.load(
        gallery_scale + item, mask=item_ok, other=0.0
    )
    tl.store(score + query_index * maps + item, total * scale + offset, mask=item_ok)
