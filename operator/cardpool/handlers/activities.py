"""kopf's log-in: the same credentials as our own client, with the connections bounded.

kopf calls it at start and after each 401, so credentials are read anew here.
"""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import kopf

CONNECTIONS: Final = 32


async def login(memo: Any, **_: Any) -> kopf.AiohttpSession:
    """A session for kopf, which owns and closes it."""
    credentials = memo.credentials
    await credentials.refresh()
    context = credentials.ssl_context()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=True if context is None else context)
    session = aiohttp.ClientSession(
        connector=connector, headers=await credentials.headers(), proxy=credentials.proxy, read_bufsize=2**20
    )
    return kopf.AiohttpSession(
        server=credentials.server, default_namespace=credentials.namespace, aiohttp_session=session
    )
