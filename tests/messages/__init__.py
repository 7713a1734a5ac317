"""Tests of the messages between workers and matcher."""
