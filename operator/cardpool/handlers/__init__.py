"""What kopf calls: registration, settings and the few lines a handler may have."""
