"""Tests of streamreid.detection."""
