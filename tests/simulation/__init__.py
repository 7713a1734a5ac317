"""Tests of streamreid.simulation."""
