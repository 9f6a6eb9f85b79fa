"""What each resource needs next: pure functions from the world to actions."""
