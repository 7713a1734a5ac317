"""Tests of streamreid.cli."""
