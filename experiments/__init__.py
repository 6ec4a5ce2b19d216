"""Commands, one verb each: `python -m experiments.train`, `.sample`, `.compare`, `.explain`."""
