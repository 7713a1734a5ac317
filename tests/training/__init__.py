"""Tests of streamreid.training."""
