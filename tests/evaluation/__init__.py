"""Tests of streamreid.evaluation."""
