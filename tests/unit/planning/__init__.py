"""Tests of `cardpool plan` on manifests."""
