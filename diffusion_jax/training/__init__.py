"""Training: arms, one compiled step, the loop, averages of the parameters."""
