"""Where the shell meets the pure core: its arguments are bound here, and nowhere else is it called.

The core keeps derived values in a memory that belongs to one process; losing it costs time and nothing else.
"""

from __future__ import annotations

import functools
import logging

from cardpool.domain import world
from cardpool.kube import store
from cardpool.lifecycle import cycle
from cardpool.names import Kind
from cardpool.runtime import loop
from cardpool.vendors import registry

logger = logging.getLogger(__name__)


class Vendors:
    """The makers known now: the package's files and the labelled ConfigMaps, merged again when those change."""

    def __init__(self, mirror: store.Mirror) -> None:
        self._mirror = mirror
        self._builtin = registry.load_builtin()
        self._version: int | None = None
        self._merged = self._builtin

    def current(self) -> registry.Registry:
        """The registry of this moment; a bad file costs only itself and is logged once."""
        version = self._mirror.version(Kind.CONFIG_MAP)
        if version != self._version:
            self._version = version
            extra = {
                f"configmap/{key}/{name}": text
                for key, record in self._mirror.config_maps().items()
                for name, text in record.data.items()
            }
            self._merged = registry.merge(self._builtin, extra)
            for error in self._merged.errors:
                logger.warning("a vendor file is left out: %s", error)
        return self._merged


def bind(resolver_image: str, status_seconds: float, mirror: store.Mirror) -> loop.Core:
    """The core as a function of the world alone; what it needs of the mirror besides is read when a cycle begins."""
    settings = cycle.CycleSettings(resolver_image=resolver_image, status_seconds=status_seconds)
    vendors, memory = Vendors(mirror), cycle.Memory()

    def begin(seen: world.World) -> loop.Decide:
        return functools.partial(cycle.decide, seen, vendors.current(), settings, memory)

    return begin
