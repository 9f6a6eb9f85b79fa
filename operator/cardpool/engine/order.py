"""The queue's order: higher priority first, then the older job, then the key. Total, so equal worlds plan alike."""

from __future__ import annotations

from collections.abc import Iterable

from cardpool.domain.gangs import Gang


def ordered(gangs: Iterable[Gang]) -> list[Gang]:
    """The gangs in the order in which they are asked for a place."""
    return sorted(gangs, key=lambda gang: (-gang.priority, gang.created, gang.key))
