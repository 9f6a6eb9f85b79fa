"""cardpool: accelerator cards of several makers as one pool, gangs placed whole, faults healed from a checkpoint."""

__version__ = "0.1.0"
