"""The shell around the pure core: one loop, one commit stage, one inbox, metrics, probes and logs."""
