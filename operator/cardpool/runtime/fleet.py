"""Writes that belong to no single job: node labels and discovered Supernodes, by server-side apply, never forced.

A conflict means that somebody else owns a field: it is counted and left alone, the core reports it on the pool from
what it sees. The apply of labels carries the node's UID, so it can never make a node.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from cardpool import errors, names
from cardpool.kube import client, paths, store
from cardpool.lifecycle import actions
from cardpool.names import Kind
from cardpool.runtime import metrics

logger = logging.getLogger(__name__)


class Fleet:
    """Performs node and Supernode writes; each returns whether it went through."""

    def __init__(self, api: client.Client, mirror: store.Mirror, instruments: metrics.Metrics) -> None:
        self._api = api
        self._mirror = mirror
        self._metrics = instruments

    async def labels(self, item: actions.ApplyNodeLabels) -> bool:
        """Apply exactly these labels to the node."""
        metadata: dict[str, Any] = {"name": item.node, "uid": item.uid}
        if item.labels:
            metadata["labels"] = dict(item.labels)
        body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        return await self._apply(Kind.NODE, item.node, body, item.uid) and await self._taint(item)

    async def _taint(self, item: actions.ApplyNodeLabels) -> bool:
        """Set or remove our one taint; the list is atomic, so it is read, changed and written with its version."""
        if item.taint is None:
            return True
        path = paths.by_key(Kind.NODE, item.node)
        try:
            node = json.loads(await self._api.get(path))
            metadata = {"uid": item.uid, "resourceVersion": node["metadata"]["resourceVersion"]}
            taints = [one for one in node.get("spec", {}).get("taints") or () if one.get("key") != names.TAINT_POOL]
            if item.taint:
                taints.append({"key": names.TAINT_POOL, "value": item.taint, "effect": "NoSchedule"})
            raw = await self._api.patch(path, {"metadata": metadata, "spec": {"taints": taints or None}})
        except (errors.ApiError, errors.UnreachableError) as error:
            self._count("patch", Kind.NODE, error.code if isinstance(error, errors.ApiError) else 0)
            return self._complain(Kind.NODE, item.node, error)
        self._count("patch", Kind.NODE, 200)
        self._mirror.overlay(Kind.NODE, raw)
        return True

    async def supernode(self, item: actions.ApplySupernode) -> bool:
        """Apply pool and selector of a discovered Supernode, owned by its pool."""
        owner = {
            "apiVersion": names.API_VERSION,
            "kind": str(Kind.POOL),
            "name": item.pool,
            "uid": item.pool_uid,
            "controller": True,
        }
        metadata = {"name": item.name, "labels": {names.LABEL_DISCOVERED: "true"}, "ownerReferences": [owner]}
        spec = {"pool": item.pool, "selector": dict(item.selector)}
        body = {"apiVersion": names.API_VERSION, "kind": str(Kind.SUPERNODE), "metadata": metadata, "spec": spec}
        return await self._apply(Kind.SUPERNODE, item.name, body, "")

    async def remove(self, item: actions.DeleteSupernode) -> bool:
        """Delete the Supernode with this UID; gone already is as good."""
        try:
            await self._api.delete(paths.by_key(Kind.SUPERNODE, item.name), uid=item.uid, propagation="Background")
        except errors.ApiError as error:
            self._count("delete", Kind.SUPERNODE, error.code)
            if error.code not in {404, 409}:
                return self._complain(Kind.SUPERNODE, item.name, error)
        except errors.UnreachableError as error:
            self._count("delete", Kind.SUPERNODE, 0)
            return self._complain(Kind.SUPERNODE, item.name, error)
        else:
            self._count("delete", Kind.SUPERNODE, 200)
        self._mirror.forget(Kind.SUPERNODE, item.name, item.uid)
        return True

    async def _apply(self, kind: Kind, name: str, body: dict[str, Any], uid: str) -> bool:
        try:
            raw = await self._api.apply(paths.by_key(kind, name), body)
        except errors.ApiError as error:
            self._count("apply", kind, error.code)
            if error.code == 404 and uid:
                self._mirror.forget(kind, name, uid)
            return self._complain(kind, name, error)
        except errors.UnreachableError as error:
            self._count("apply", kind, 0)
            return self._complain(kind, name, error)
        self._count("apply", kind, 200)
        self._mirror.overlay(kind, raw)
        return True

    def _complain(self, kind: Kind, name: str, error: Exception) -> bool:
        logger.warning("%s %s was not written", kind, name, extra={"kind": str(kind), "key": name, "error": str(error)})
        return False

    def _count(self, verb: str, kind: Kind, code: int) -> None:
        self._metrics.requests.labels(verb=verb, kind=str(kind), code=str(code)).inc()
