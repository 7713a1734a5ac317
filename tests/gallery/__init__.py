"""Tests of the rolling gallery and its scorers."""
