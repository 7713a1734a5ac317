"""Graph sampling against the golden vectors, and the bookkeeping of its images."""

import numpy as np
import pytest
import torch
from torch import Tensor

from streamreid.reid.matching import match_scores
from streamreid.reid.qaconv import QAConv, fold
from streamreid.training.graph_sampler import (
    ImagePicker,
    class_batches,
    epoch_batches,
    neighbours,
)
from tests.golden_data import golden_state, load_golden


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_distance_neighbours_and_batches_equal_golden() -> None:
    arrays = load_golden("graph_sampler")
    features = torch.from_numpy(arrays["image_features"][arrays["rep_index"]])
    channels, height, width = features.shape[1:]
    layer = QAConv(channels, height, width)
    layer.load_reference_state(golden_state(arrays, "m_"))
    distance = -match_scores(features, features, fold(layer))
    np.testing.assert_allclose(distance, arrays["dist"], atol=1e-5, rtol=0)
    count = int(arrays["batch_size"]) // int(arrays["num_instance"]) - 1
    rows = neighbours(distance, count)
    np.testing.assert_array_equal(rows, arrays["topk_index"])
    found = arrays["pid_order"][class_batches(rows)]
    assert {tuple(batch) for batch in found} == {tuple(batch) for batch in arrays["batches_pids"]}
    picker = ImagePicker(torch.from_numpy(arrays["image_pid"]), generator(0))
    assert picker.classes == tuple(arrays["pid_order"])


def test_neighbours_leave_the_class_itself_out_even_if_it_is_not_nearest() -> None:
    distance = torch.tensor([[9.0, 1.0, 2.0], [1.0, -5.0, 1.0], [3.0, 0.5, 0.0]])
    assert neighbours(distance, 2).tolist() == [[1, 2], [0, 2], [1, 0]]
    assert neighbours(distance, 0).shape == (3, 0)


def test_epoch_has_one_batch_per_class_with_the_right_images() -> None:
    targets = torch.tensor([7, 7, 7, 3, 3, 5, 5, 5, 5, 9])
    picker = ImagePicker(targets, generator(1))
    assert picker.classes == (7, 3, 5, 9)
    distance = torch.rand(4, 4, generator=generator(2))
    batches = epoch_batches(
        distance, picker, batch_size=6, images_per_class=2, generator=generator(3)
    )
    assert len(batches) == 4
    anchors = {int(targets[batch[-1]]) for batch in batches}
    assert anchors == {7, 3, 5, 9}
    for batch in batches:
        classes = targets[torch.tensor(batch)].view(3, 2)
        assert bool((classes[:, 0] == classes[:, 1]).all())
        assert len(set(classes[:, 0].tolist())) == 3


def test_every_image_of_a_class_comes_once_per_round() -> None:
    picker = ImagePicker(torch.tensor([0, 1, 0, 0, 1]), generator(4))
    first = picker.take(0, 2) + picker.take(0, 1)
    assert sorted(first) == [0, 2, 3]
    assert sorted(picker.take(0, 3)) == [0, 2, 3]
    assert sorted(picker.take(1, 4)) == [1, 1, 4, 4]  # fewer images than asked: some repeat


def test_a_restored_picker_goes_on_exactly() -> None:
    targets = torch.tensor([0, 0, 0, 1, 1])
    random = generator(5)
    picker = ImagePicker(targets, random)
    picker.take(0, 2)
    state, random_state = picker.state(), random.get_state()
    expected = [picker.take(0, 5), picker.take(1, 3), picker.representatives().tolist()]
    again_random = generator(99)
    again = ImagePicker(targets, again_random)
    again.restore(state)
    again_random.set_state(random_state)
    assert [again.take(0, 5), again.take(1, 3), again.representatives().tolist()] == expected
    with pytest.raises(ValueError, match="another training list"):
        ImagePicker(torch.tensor([0, 1]), generator(0)).restore(state)


def test_representatives_are_images_of_their_class() -> None:
    targets = torch.tensor([4, 2, 4, 2, 2])
    picker = ImagePicker(targets, generator(6))
    seen = torch.stack([picker.representatives() for _ in range(40)])
    assert bool((targets[seen] == torch.tensor([4, 2])).all())
    assert set(seen[:, 1].tolist()) == {1, 3, 4}


@pytest.mark.parametrize(
    ("distance", "batch_size", "message"),
    [
        (torch.zeros(2, 2), 3, "batch_size 3 must be divisible"),
        (torch.zeros(2, 2), 6, "2 neighbours asked for with 2 classes"),
        (torch.zeros(3, 3), 4, "3 distances for 2 classes"),
    ],
)
def test_wrong_sizes_are_named(distance: Tensor, batch_size: int, message: str) -> None:
    picker = ImagePicker(torch.tensor([0, 1]), generator(0))
    with pytest.raises(ValueError, match=message):
        epoch_batches(
            distance, picker, batch_size=batch_size, images_per_class=2, generator=generator(0)
        )
