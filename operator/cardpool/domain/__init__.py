"""What the core speaks of: cards, nodes, topology, gangs, the world. Plain frozen values, no I/O, no clock."""
