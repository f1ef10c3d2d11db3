"""Helpers for tests and benchmarks: studies, trials and executors that need no training."""
