"""Tests of streamreid.store."""
