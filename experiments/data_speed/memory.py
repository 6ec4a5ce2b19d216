"""Memory of a process that reads all pictures of a folder, in bytes at its peak.

python -m experiments.data_speed.memory FOLDER
"""

import resource
import sys


def main(folder: str) -> None:
    """Reads each picture once, in batches in a shuffled order, and prints the peak."""
    from diffusion_jax.data.pipeline import batches
    from diffusion_jax.data.sets.web_dataset.dataset import web_dataset
    from experiments.data_speed.problem import BATCH

    data = web_dataset(folder, size=64, held_out=1e-9, memory=False)
    found = batches(data.train, lambda examples: {}, BATCH, seed=0)
    for _ in range(len(data.train) // BATCH):
        next(found)
    found.close()
    print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main(sys.argv[1])
