"""Tests of streamreid.tracking."""
