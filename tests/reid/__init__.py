"""Tests of streamreid.reid."""
