"""Tests of streamreid.tlift."""
