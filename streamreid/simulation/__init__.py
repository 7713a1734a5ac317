"""Drawn scenes and camera networks with known truth, for demos, load and accuracy tests."""
