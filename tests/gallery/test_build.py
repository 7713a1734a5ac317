"""The scorer that a configuration asks for, from real weights."""

from typing import Any

import numpy as np
import pytest
import torch

from streamreid.errors import ConfigError
from streamreid.gallery.build import build_scorer
from streamreid.gallery.ring import TABLE_BYTES
from streamreid.types import CropKey
from tests.gallery.builders import entry, make_crops

FORCED: dict[str, Any] = {"device": "cpu", "features": "torch-fp32"}


def test_scorer_of_imagenet_weights_finds_the_same_person() -> None:
    scorer = build_scorer("imagenet", max_crops=50, max_age_s=100.0, **FORCED)
    people = [0, 0, 1, 2, 0, 1]
    entries = [entry(i + 1, track=i, at_s=float(i)) for i in range(6)]
    scorer.insert(entries, scorer.embed(make_crops(people)))
    query = [CropKey(5)]
    assert set(scorer.candidates(query, 2).entry_ids.tolist()) == {1, 2}
    scores = scorer.score(query, [[CropKey(i)] for i in (1, 2, 3, 4)]).score
    assert scores[:2].min() > scores[2:].max()
    assert scorer.expire(104.0) == 4
    assert scorer.calibration is not None


def test_description_records_every_choice() -> None:
    scorer = build_scorer("imagenet", max_crops=50, map_dtype="bf16", rule="mean", **FORCED)
    found = scorer.description
    assert found["features"] == "torch-fp32"
    assert (found["map_dtype"], found["vector_dtype"]) == ("bfloat16", "bfloat16")
    assert found["matching"] in ("bf16", "onednn", "torch")
    assert (found["multi_shot"], found["max_crops"], found["exact"]) == ("mean", 50, False)
    assert found["bytes_per_crop"] == 24 * 8 * 112 * 2 + 4 * 112 * 2


def test_memory_limit_lowers_the_number_of_crops() -> None:
    scorer = build_scorer("imagenet", max_crops=10**6, memory_bytes=1 << 20, **FORCED)
    per_crop = scorer.ring.layout.bytes_per_crop + TABLE_BYTES
    assert scorer.ring.capacity == (1 << 20) // per_crop
    assert scorer.ring.capacity * per_crop <= 1 << 20


@pytest.mark.parametrize(
    ("first", "then", "bound"), [("fp32", "int8", 0.1), ("fp8", "int8", 0.1), ("int8", "fp8", 0.6)]
)
def test_stored_maps_survive_a_change_of_storage_dtype(first: str, then: str, bound: float) -> None:
    """The store may hold maps of an earlier run on another machine."""
    before = build_scorer("imagenet", max_crops=9, map_dtype=first, **FORCED)
    after = build_scorer("imagenet", max_crops=9, map_dtype=then, **FORCED)
    embedded = before.embed(make_crops([0, 1, 0]))
    entries = [entry(i + 1, track=i, at_s=float(i)) for i in range(3)]
    before.insert(entries, embedded)
    assert after.restore(entries, embedded.maps, embedded.vectors) == 3
    groups = [[CropKey(2)], [CropKey(3)]]
    np.testing.assert_allclose(
        before.score([CropKey(1)], groups).score,
        after.score([CropKey(1)], groups).score,
        atol=bound,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "use auto, cpu, cuda or cuda:0"),
        ({"device": "mps"}, "use auto, cpu, cuda or cuda:0"),
        ({"memory_bytes": 100}, "one crop takes"),
        ({"map_dtype": "int4"}, "storage dtype 'int4'"),
        ({"features": "tensorrt"}, "feature back-end 'tensorrt'"),
    ],
    ids=str,
)
def test_impossible_wishes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_scorer("imagenet", **{**FORCED, **options})


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_named() -> None:
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        build_scorer("imagenet", device="cuda:0")
