"""The models of cams.yaml and its errors with line and column."""

from streamreid.config.camera_url import CameraUrl
from streamreid.config.load import load_config, parse_config
from streamreid.config.models import (
    AssociationConfig,
    CameraConfig,
    Config,
    DetectorConfig,
    GalleryConfig,
    MatcherConfig,
    StoreConfig,
    TopologyConfig,
    TransportConfig,
)

__all__ = [
    "AssociationConfig",
    "CameraConfig",
    "CameraUrl",
    "Config",
    "DetectorConfig",
    "GalleryConfig",
    "MatcherConfig",
    "StoreConfig",
    "TopologyConfig",
    "TransportConfig",
    "load_config",
    "parse_config",
]
