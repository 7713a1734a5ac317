"""Tests of streamreid.runtime."""
