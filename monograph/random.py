"""torch.random: the default generator."""

from monograph.tensor.random import Generator, default_generator, manual_seed

get_rng_state, set_rng_state = default_generator.get_state, default_generator.set_state
seed, initial_seed = default_generator.seed, default_generator.initial_seed

__all__ = ["Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
