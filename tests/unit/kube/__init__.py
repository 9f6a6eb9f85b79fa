"""Tests of the side that faces the API server, against a scripted server in the same process."""
