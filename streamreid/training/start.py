"""What a training run starts from: ImageNet weights, a trunk's file, or weights of ours."""

from pathlib import Path

import torch
from torch import Tensor

from streamreid.errors import WeightsError
from streamreid.reid import backbone
from streamreid.reid.backbone import MapNetwork
from streamreid.reid.imagenet import calibrate_instance_norms, imagenet_network, load_trunk
from streamreid.reid.lite0 import Lite0Trunk
from streamreid.reid.preprocess import to_unit_range
from streamreid.reid.weights import SHIPPED, ReidModel, load_model
from streamreid.training.config import TrainConfig
from streamreid.training.images import ImageSet

_CALIBRATION_IMAGES = 256


def first_network(config: TrainConfig, images: ImageSet) -> MapNetwork:
    """Build the network with its first weights.

    Args:
        config: The run.
        images: Training images; a sample sets added instance norms.

    Raises:
        WeightsError: The first weights are missing, damaged or do not fit.
    """
    if _starts_from_model(config):
        return _first_model(config).network.requires_grad_(True)
    if config.start == "imagenet":
        network = imagenet_network(
            config.architecture, neck_channels=config.neck_channels, seed=config.seed
        )
        if isinstance(network.trunk, Lite0Trunk):
            generator = torch.Generator().manual_seed(config.seed)
            sample = torch.randperm(len(images), generator=generator)[:_CALIBRATION_IMAGES]
            calibrate_instance_norms(network.trunk, to_unit_range(images.pixels[sample]))
        return network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = backbone.build(config.architecture, neck_channels=config.neck_channels)
    if config.start != "random":
        load_trunk(network.trunk, Path(config.start))
    return network


def first_location_weight(config: TrainConfig) -> Tensor | None:
    """Location weights of the model that a run goes on from; None when it starts afresh.

    Raises:
        WeightsError: As `first_network`.
    """
    if not _starts_from_model(config):
        return None
    weight = _first_model(config).head.fc.weight.detach().flatten()
    return weight / weight.mean()


def _starts_from_model(config: TrainConfig) -> bool:
    return config.start in SHIPPED or config.start.endswith(".safetensors")


def _first_model(config: TrainConfig) -> ReidModel:
    """The weights that the run goes on from.

    Raises:
        WeightsError: The file cannot be read, or its network or image size is another one.
    """
    model = load_model(config.start)
    own = (config.architecture, config.neck_channels, config.input_size)
    found = (model.card.architecture, model.card.neck_channels, model.input_size)
    if own != found:
        raise WeightsError(
            f"{config.name}: start {config.start} holds (architecture, neck_channels, input_size) "
            f"= {found}, the configuration says {own}; make them equal"
        )
    return model
