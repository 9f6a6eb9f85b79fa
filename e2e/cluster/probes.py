"""Asks a program over HTTP whether it is well. A refused or broken connection is the answer "not yet"."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2e.cluster.certs import Authority

LOOPBACK = "127.0.0.1"
ADMIN = ("admin", ("system:masters",))


def plain(port: int, path: str) -> int | None:
    """The HTTP status of a GET on loopback, None while nobody answers."""
    return _get(http.client.HTTPConnection(LOOPBACK, port, timeout=5), path)


def secure(authority: Authority, host: str, port: int, path: str) -> int | None:
    """The HTTP status of a GET over TLS as the administrator, None while nobody answers."""
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    pair = authority.client(*ADMIN)
    trust.load_cert_chain(pair.certificate, pair.key)
    return _get(http.client.HTTPSConnection(host, port, timeout=5, context=trust), path)


def _get(connection: http.client.HTTPConnection, path: str) -> int | None:
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
