"""Benchmarks and metrics: data sets, ranking, re-ranking, tracking metrics, stream replay."""
