"""Temporal lifting: the published offline formula, its live state and learned transition times."""
