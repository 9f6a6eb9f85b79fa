"""A cluster's objects, read page by page; nothing is ever written, and no watch is kept."""

from __future__ import annotations

import msgspec

from cardpool import names
from cardpool.kube import client as kube_client
from cardpool.kube import paths, reflector, wire
from cardpool.names import Kind

PAGE = 500
_PARAMS = {
    Kind.JOB: {"fieldSelector": reflector.JOB_SELECTOR},
    Kind.CONFIG_MAP: {"labelSelector": f"{names.LABEL_VENDORS}=true"},
}


async def read(api: kube_client.Client) -> list[tuple[Kind, msgspec.Raw]]:
    """Every object of the kinds that a plan reads, settled jobs and foreign ConfigMaps left out."""
    return [(kind, raw) for kind in Kind for raw in await _all(api, kind)]


async def _all(api: kube_client.Client, kind: Kind) -> list[msgspec.Raw]:
    items: list[msgspec.Raw] = []
    token = ""
    while True:
        raw = await api.list_page(paths.collection(kind), limit=PAGE, token=token, params=_PARAMS.get(kind))
        page = wire.PAGE.decode(raw)
        items += page.items or ()
        token = page.metadata.continue_token
        if not token:
            return items
