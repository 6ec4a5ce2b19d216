"""Released models beside the libraries that they come from: `python -m experiments.parity`.

`kinds/` holds a file for each kind of model, one half for the original library and one for this.
The original's half runs in an environment of its own, in which this library cannot be imported; so
these files import PyTorch and JAX only where they are used.
"""
