"""Memory of a process that reads a released model, or of one that reads none.

    python -m experiments.released_speed.load [FOLDER]

Prints the most bytes that the process had in memory.
"""

import resource
import sys


def main(folder: str = "") -> None:
    """Reads the model, keeps it, and prints the peak."""
    import jax

    jax.numpy.zeros(1).block_until_ready()
    if folder:
        import diffusion_jax as dj

        model = dj.released(folder)
        assert model.parts
    print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main(*sys.argv[1:])
