"""Released models by this library and by diffusers, timed for `benchmark_released`.

The peers need PyTorch; `make bench` installs them into an environment of their own.
"""
