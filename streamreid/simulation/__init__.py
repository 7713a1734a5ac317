"""Scenes and networks of cameras with ground truth, for demos, load and accuracy tests."""
