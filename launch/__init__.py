"""Where an experiment runs: `python -m launch WHERE -- -m experiments.train --config=FILE`."""
