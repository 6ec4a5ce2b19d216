"""Sweeps: what differs between arms, for `python -m experiments.compare --config=… --sweep=…`."""
