"""Trains the arms of a config side by side; started again, goes on where it was.

    python -m experiments.train --config=configs/quickstart.py
    python -m experiments.train --config=configs/base.py --config.training.steps=300 \\
        --config.schedule="edm(sigma_max=50.0)" --config.run_dir=runs/short

Everything goes to the run folder: config, versions, metrics, checkpoints. Several processes
train together under `python -m launch "local(processes=2)" -- -m experiments.train ...`.
"""

from ml_collections import ConfigDict

from experiments import cli
from experiments.command_line import overridden


def main(config: ConfigDict) -> None:
    """Trains, and prints where the result is."""
    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.parallel.devices import is_primary
    from diffusion_jax.published.autoencoder import FOLDER
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.training.autoencoders import reconstruction_error
    from diffusion_jax.training.idle import refuse_idle
    from diffusion_jax.training.loop import train

    refuse_idle((config,), overridden())
    data = datasets.make(config.data)
    run = train(config, Progress(), data=data)
    if is_primary():
        for folder in sorted(run.folder.glob(f"{FOLDER}*")):
            error = reconstruction_error(folder, data)
            print(f"Autoencoder: {folder}, gives pictures back with an error of {error:.1f} of 255")
        print(f"Trained {config.training.steps} steps: {run.folder}")


if __name__ == "__main__":
    cli.run(main)
