"""Benchmarks, by subject. `run.measure` runs them all; the frames differ, so that no cache flatters a figure."""
