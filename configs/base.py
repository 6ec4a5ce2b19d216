"""Every field that an experiment has, with its default and what it means.

Members of a family (schedules, networks, data sets, …) are written as one string, a name with
keyword settings: `"edm(sigma_max=50.0)"`. All configs start from this one and change fields.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The defaults: one cosine arm on the built-in captioned shapes."""
    config = ConfigDict()
    config.seed = 0
    # Where everything of this run goes; a run found there with the same config is resumed.
    config.run_dir = "runs/base"

    config.data = "shapes(level='one', size=16)"
    config.flip = False  # also show each training picture mirrored

    config.network = "unet()"
    config.conditioner = "transformer()"  # what reads the captions; "label()" for classes, "none"

    # The objective. An arm is this objective with some of these fields replaced.
    config.schedule = "cosine"
    config.prediction = "edm"
    config.time_sampler = "uniform"
    config.weighting = "simple"
    config.sigma_data = 0.5
    # How an error becomes a number; "hybrid()" learns a variance, "uncertainty" a weight. For a
    # network that is an autoencoder, such as "autoencoder_kl()", it is "kl()".
    config.loss = "squared"
    # What the network sees of x and of the noise level, such as "time(scale=1000)".
    config.preconditioning = "edm"
    # Training for few steps, such as "shortcut()", which brings its own path, times and losses.
    # Those that learn from a teacher, or start as one, name a run's folder and arm, such as
    # "runs/quickstart:edm".
    config.fewstep = "none"
    config.teacher = ""
    config.teacher_guidance = "none"  # towards the captions, such as "classifier_free(scale=2.0)"
    # Another run's arm, such as "runs/quickstart:edm": training starts from its averaged weights.
    config.start_from = ""
    config.arms = ConfigDict()  # e.g. {"edm": {"schedule": "edm", "time_sampler": "log_normal()"}}
    config.baseline = ""  # the arm that others are compared to; empty: the first written

    config.optimizer = "adam(learning_rate=1e-3)"
    config.training = ConfigDict()
    config.training.steps = 1000
    config.training.batch_size = 32
    config.training.microbatches = 1  # parts of a batch whose gradients are accumulated
    # Processes that read and transform examples: for pictures that are read from files as they are
    # needed. 0 is faster for those in memory.
    config.training.workers = 0
    config.training.dtype = "float32"  # or "bfloat16": what the network computes in
    config.training.caption_dropout = 0.1  # share of captions hidden, for guidance
    config.training.ema = "decay(decay=0.999)"  # average of the parameters, which is sampled
    # Arms that share a compiled step: "apart" trains them in turn, "together" in one program that
    # is mapped over them, "auto" measures which is faster here.
    config.training.execution = "apart"
    config.training.diverged = "stop"  # or "drop" the arm and go on with the others
    config.training.log_every = 50
    config.training.checkpoint_every = 500
    config.training.keep = 2  # checkpoints
    # Steps whose checkpoints are never removed, as is that of an earlier network that guides.
    config.training.keep_steps = ()

    config.sampling = ConfigDict()
    config.sampling.solvers = ("dpmpp_2m",)
    config.sampling.steps = (16,)
    config.sampling.grid = "karras"
    config.sampling.guidance = "classifier_free(scale=2.0)"
    config.sampling.threshold = "none"  # keeps estimates of x_0 in range: "clip()", "dynamic()"
    # Each sample the restoration of a test picture from what an operator shows of it, "half()",
    # "box()", "downsample()", …, as a posterior follows it: "mmps()", "pigdm()", …
    config.sampling.operator = "none"
    config.sampling.posterior = "none"
    config.sampling.count = 64  # samples per arm, solver and step count
    # Samples where arms are judged: with the first solver and the most steps.
    config.sampling.judged_count = 64
    config.sampling.batch_size = 64
    # What those are measured by, e.g. "frechet(features=random_convolutions)".
    config.sampling.metrics = ("exact_match", "frechet", "kernel", "neighbour_ratio", "copies")
    return config
