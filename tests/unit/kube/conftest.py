"""A scripted API server and a client of it, for whatever speaks to one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cardpool.kube import client
from tests.unit.kube import scripted


@pytest.fixture
async def server() -> AsyncIterator[scripted.Server]:
    """A scripted API server."""
    async with scripted.serving() as running:
        yield running


@pytest.fixture
async def api(server: scripted.Server) -> AsyncIterator[client.Client]:
    """A client of it without a fence."""
    async with scripted.api(server) as made:
        yield made
