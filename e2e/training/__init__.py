"""A real training job, small enough for two processor cores: JAX over several processes, Orbax checkpoints."""
