"""The same networks sampled by this library, by diffusers and by k-diffusion, for `benchmark`.

The peers need PyTorch; `make bench` installs them into an environment of their own.
"""
