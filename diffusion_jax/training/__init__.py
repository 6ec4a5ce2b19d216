"""Training: state, one compiled step, the loop, checkpoints, devices and the run folder."""
