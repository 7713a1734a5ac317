"""Every feature back-end gives torch's maps; the choice is measured, recorded and can be forced."""

import itertools

import numpy as np
import pytest
import torch

from streamreid.errors import ConfigError
from streamreid.reid.extract import FeatureExtractor, choose_runner, feature_backends
from streamreid.reid.runners import CudaGraphRunner, MapRunner, TorchRunner
from tests.gallery.builders import HEIGHT, WIDTH, TinyNetwork, make_crops

CPU = torch.device("cpu")
SIZE = (HEIGHT * 8, WIDTH * 8)


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=feature_backends(CPU))
def runner(request: pytest.FixtureRequest) -> MapRunner:
    return choose_runner(
        TinyNetwork(), size=SIZE, device=CPU, backend=str(request.param), threads=1
    ).runner


def test_maps_agree_with_torch_and_are_unit_norm(runner: MapRunner) -> None:
    expected = TorchRunner(TinyNetwork(), device=CPU, dtype=torch.float32)(images(5))
    found = runner(images(5))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones_like(found[:, 0]), atol=1e-5, rtol=0)
    bound = 0.02 if runner.name.endswith("bf16") else 1e-4
    assert float((found - expected).abs().max()) <= bound


def test_same_crop_gives_the_same_map_twice(runner: MapRunner) -> None:
    assert torch.equal(runner(images(3)), runner(images(3)))


def test_a_crop_does_not_depend_on_its_neighbours(runner: MapRunner) -> None:
    together = runner(images(7))
    apart = torch.cat([runner(images(7)[row : row + 1]) for row in range(7)])
    bound = 0.01 if runner.name == "torch-bf16" else 1e-6
    torch.testing.assert_close(together, apart, atol=bound, rtol=0)


def test_extractor_batches_crops_of_any_size() -> None:
    extractor = FeatureExtractor(TorchRunner(TinyNetwork(), device=CPU, dtype=torch.float32), SIZE)
    crops = make_crops(range(37))
    crops[5] = np.ascontiguousarray(crops[5][:50, :31])
    maps = extractor(crops)
    assert maps.shape == (37, 16, HEIGHT, WIDTH)
    torch.testing.assert_close(maps[36], extractor(crops[36:])[0], atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="no crops"):
        extractor([])
    with pytest.raises(ValueError, match="batch must be at least 1"):
        FeatureExtractor(extractor.runner, SIZE, batch=0)


def test_automatic_choice_is_recorded_with_its_times() -> None:
    choice = choose_runner(TinyNetwork(), size=SIZE, device=CPU, threads=1)
    assert choice.runner.name in choice.milliseconds
    assert set(choice.milliseconds) | set(choice.rejected) <= set(feature_backends(CPU))
    fastest = min(choice.milliseconds.values())
    assert choice.milliseconds[choice.runner.name] <= 1.3 * fastest


def test_equal_times_keep_the_preferred_back_end() -> None:
    ticks = itertools.count()
    choice = choose_runner(
        TinyNetwork(), size=SIZE, device=CPU, threads=1, clock=lambda: float(next(ticks))
    )
    assert choice.runner.name == next(iter(choice.milliseconds))


class Sharper(TinyNetwork):
    """Gives other maps under autocast: what a broken bfloat16 path would do."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = super().forward(images)
        return -maps if torch.is_autocast_enabled("cpu") else maps


def test_a_back_end_with_wrong_maps_is_refused() -> None:
    with pytest.raises(ConfigError, match="mean cosine -1"):
        choose_runner(Sharper(), size=SIZE, device=CPU, backend="torch-bf16")


def test_unknown_back_end_is_named() -> None:
    with pytest.raises(ConfigError, match="feature back-end 'tensorrt'; on cpu use auto or one of"):
        choose_runner(TinyNetwork(), size=SIZE, device=CPU, backend="tensorrt")


def test_a_gpu_tries_half_precision_and_graphs_first() -> None:
    names = feature_backends(torch.device("cuda"))
    assert names == ("torch-fp16-graphs", "torch-fp16", "torch-fp32")


@pytest.mark.gpu
def test_a_gpu_chooses_half_precision_by_itself() -> None:
    choice = choose_runner(TinyNetwork(), size=SIZE, device=torch.device("cuda"))
    assert set(choice.milliseconds) == set(feature_backends(torch.device("cuda")))
    assert "fp16" in choice.runner.name


@pytest.mark.gpu
def test_cuda_graphs_agree_with_torch() -> None:
    device = torch.device("cuda")
    graphs = CudaGraphRunner(TinyNetwork(), device=device, size=SIZE)
    expected = TorchRunner(TinyNetwork(), device=device, dtype=torch.float32)
    for count in (1, 3, 4, 16, 37):
        torch.testing.assert_close(
            graphs(images(count)), expected(images(count)), atol=0.01, rtol=0
        )
