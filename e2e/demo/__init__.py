"""The demonstration: train for real, break a card, watch the gang come back, and prove what it claims."""
