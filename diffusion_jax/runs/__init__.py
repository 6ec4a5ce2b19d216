"""The run folder: config, lock, checkpoints, logs, and what the run depended on."""
