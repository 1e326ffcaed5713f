"""Benchmarks, a module per subject; `run.measure` runs them all. All frames differ, so that no cache makes a figure too good."""
