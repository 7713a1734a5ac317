"""Tests of streamreid.config."""
