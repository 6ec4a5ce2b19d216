"""Differences between arms: paired, over training seeds, with intervals and verdicts."""
