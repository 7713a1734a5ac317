"""Batches: right make-up, repeatable from the step alone, hard ones from neighbours."""

import pytest
import torch

from streamreid.training.sampling import BatchPlan, BatchSampler
from tests.training.builders import make_images

PLAN = BatchPlan(identities=3, images=4, source_share=(0.5, 0.5))


def test_a_batch_holds_one_source_and_the_right_number_of_each() -> None:
    images = make_images(identities=5, sources=2)
    sampler = BatchSampler(images, PLAN, seed=1)
    sources = set()
    for step in range(12):
        batch = sampler.batch(step, None)
        identities, counts = images.identity[batch].unique(return_counts=True)
        assert len(identities) == 3
        assert counts.tolist() == [4, 4, 4]
        found = images.source[batch].unique().tolist()
        assert len(found) == 1
        sources |= set(found)
    assert sources == {0, 1}


def test_the_step_alone_decides_the_batch() -> None:
    images = make_images(sources=2)
    first, second = (BatchSampler(images, PLAN, seed=1) for _ in range(2))
    for step in (0, 1, 7):
        assert torch.equal(first.batch(step, None), second.batch(step, None))
    other = BatchSampler(images, PLAN, seed=2)
    assert any(
        not torch.equal(first.batch(step, None), other.batch(step, None)) for step in range(4)
    )


def test_both_cameras_of_an_identity_are_in_the_batch() -> None:
    images = make_images(identities=4, cameras=2, each=6)
    sampler = BatchSampler(images, BatchPlan(2, 2, (1.0,)), seed=1)
    for step in range(6):
        cameras = images.camera[sampler.batch(step, None)].view(2, 2)
        assert bool((cameras[:, 0] != cameras[:, 1]).all())


def test_an_identity_with_few_images_repeats_them() -> None:
    images = make_images(identities=3, cameras=1, each=2)
    batch = BatchSampler(images, BatchPlan(3, 5, (1.0,)), seed=1).batch(0, None)
    assert len(batch) == 15


def test_hard_batches_are_an_identity_and_its_neighbours() -> None:
    images = make_images(identities=6)
    plan = BatchPlan(3, 2, (1.0,), neighbour_share=1.0)
    sampler = BatchSampler(images, plan, seed=1)
    ring = torch.stack([torch.tensor([(k + 1) % 6, (k + 2) % 6]) for k in range(6)])
    for step in range(6):
        chosen = images.identity[sampler.batch(step, ring)].view(3, 2)[:, 0].tolist()
        assert [chosen[1], chosen[2]] == [(chosen[0] + 1) % 6, (chosen[0] + 2) % 6]


def test_a_small_source_is_refused() -> None:
    images = make_images(identities=2)
    with pytest.raises(ValueError, match="source 0 has 2 identities, a batch needs 3"):
        BatchSampler(images, BatchPlan(3, 2, (1.0,)), seed=1)
