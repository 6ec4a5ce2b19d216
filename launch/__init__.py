"""Where an experiment runs: this machine, and behind the same protocol whatever comes later."""
