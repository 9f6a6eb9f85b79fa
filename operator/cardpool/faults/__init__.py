"""From signals to card states to the gangs that sit on them: pure, all memory in the fault records."""
