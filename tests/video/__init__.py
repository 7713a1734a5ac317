"""Tests of streamreid.video."""
