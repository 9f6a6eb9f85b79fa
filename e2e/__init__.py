"""End to end: the development cluster, the node profiles and the scenarios that run on them."""
