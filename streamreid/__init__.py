"""Follow people across ordinary, uncalibrated cameras and say why a match is believed."""

__version__ = "0.1.0"
