"""The one error that the command line turns into a message: what failed, and what to do about it."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster cannot go on; the text names the part, the cause and the remedy."""
