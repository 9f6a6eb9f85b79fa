"""Leader election over a Lease, on clocks that nobody sets.

Only elapsed time counts: ours from the start of the last renewal that succeeded, a rival's from when we last saw its
Lease change. The clock runs on while the machine sleeps. Invariants: ``surely_ours`` is never True after a rival may
take the lease; once lost, an elector never leads again (the process ends); every call is bounded by half of the time
that is left for a renewal, so that a slow server is waited for and a dead connection is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from cardpool import errors, names
from cardpool.kube import client, identity, paths, wire

_LOG: Final = logging.getLogger(__name__)
_MARGIN: Final = 1.0
_TROUBLE: Final = (errors.ApiError, errors.UnreachableError, TimeoutError, msgspec.DecodeError)

default_identity = identity.default_identity


def elapsed() -> float:
    """Return seconds on a clock that nobody sets and that counts the machine's sleep where the system offers one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Elector:
    """Campaigns for one Lease and holds it. Give ``check`` to the client as its fence."""

    def __init__(
        self,
        api: client.Client,
        namespace: str,
        own: str,
        *,
        name: str = names.LEASE_NAME,
        duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry: float = 2.0,
        clock: Callable[[], float] = elapsed,
        is_dead: Callable[[str], bool] = identity.is_surely_dead,
    ) -> None:
        if not retry < renew_deadline < duration - _MARGIN:
            raise errors.SettingsError("lease: retry < renew deadline < duration - 1 s must hold")
        self.identity = own
        self.holder = ""
        self.transitions = 0
        self.problem = ""
        self.acquired = asyncio.Event()
        self.lost = asyncio.Event()
        self._api = api
        self._namespace = namespace
        self._name = name
        self._path = paths.item(paths.LEASES, name, namespace)
        self._duration = duration
        self._renew_deadline = renew_deadline
        self._retry = retry
        self._clock = clock
        self._is_dead = is_dead
        self._stopping = asyncio.Event()
        self._leading = False
        self._renewed = -math.inf
        self._seen_version = ""
        self._seen_at = -math.inf
        self._acquired_time = ""

    def surely_ours(self) -> bool:
        """Whether no rival can hold the lease now, with a second to spare."""
        return self._leading and self._clock() < self._renewed + self._duration - _MARGIN

    def check(self) -> None:
        """Raise LeaseLostError unless the lease is surely ours: the fence before each write."""
        if not self.surely_ours():
            raise errors.LeaseLostError(f"lease {self._namespace}/{self._name} is not surely held by {self.identity}")

    def age(self) -> float:
        """Return the seconds since the start of the last renewal that succeeded; infinite while not leading."""
        return self._clock() - self._renewed if self._leading else math.inf

    def stop(self) -> None:
        """End ``run``; a held lease is released, so that a standby takes over at once. Stop writing before."""
        self._stopping.set()

    async def run(self) -> None:
        """Campaign, lead, and return once the lease is lost or ``stop`` was called."""
        try:
            while not self._stopping.is_set() and not self.lost.is_set():
                await self._turn()
                if not self.lost.is_set():
                    await self._rest()
        finally:
            await self._release()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(max(self._retry, self._left())):
                await (self._renew() if self._leading else self._campaign())
            self.problem = ""
        except _TROUBLE as error:
            self.problem = f"{type(error).__name__}: {error}"
            _LOG.warning("lease request failed", extra={"cause": self.problem})
        if self._leading and self._clock() - self._renewed >= self._renew_deadline:
            self._lose(f"not renewed for {self._renew_deadline:g} s")

    def _left(self) -> float:
        """Seconds until a renewal must have succeeded; who does not lead has all of them."""
        return self._renewed + self._renew_deadline - self._clock() if self._leading else self._renew_deadline

    def _bound(self) -> float:
        """Seconds that one request may take."""
        return max(self._retry, self._left() / 2.0)

    async def _rest(self) -> None:
        # While a lease is about to end, every standby looks at its own moment.
        pause = self._retry if self._leading else self._retry * random.uniform(0.5, 1.0)
        try:
            async with asyncio.timeout(pause):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _renew(self) -> None:
        """Write the lease over the version we know; whoever else wrote it meanwhile decides what we are."""
        try:
            await self._put(self._seen_version)
        except errors.ApiError as error:
            if error.code not in {404, 409}:
                raise
            lease = await self._get()
            if lease is None or (lease.spec.holder_identity or "") != self.identity:
                self._lose(f"taken by {self.holder or 'nobody'}")
            else:  # our own earlier write went through though its answer was lost
                await self._put(lease.metadata.resource_version)

    async def _campaign(self) -> None:
        lease = await self._get()
        if lease is None:
            await self._create()
        elif self._is_free(lease):
            holder = lease.spec.holder_identity or ""
            self.transitions = (lease.spec.lease_transitions or 0) + (holder != self.identity)
            try:
                await self._put(lease.metadata.resource_version)
            except errors.ApiError as error:
                if error.code != 409:  # a rival was faster
                    raise

    def _is_free(self, lease: wire.Lease) -> bool:
        holder = lease.spec.holder_identity or ""
        if not holder or holder == self.identity or self._is_dead(holder):
            return True
        return self._clock() >= self._seen_at + (lease.spec.lease_duration_seconds or self._duration)

    async def _get(self) -> wire.Lease | None:
        try:
            lease = wire.LEASE.decode(await self._api.get(self._path, lane=client.Lane.LEASE, timeout=self._bound()))
        except errors.ApiError as error:
            if error.code != 404:
                raise
            return None
        self._saw(lease)
        return lease

    async def _create(self) -> None:
        started = self._clock()
        collection = paths.collection(paths.LEASES, self._namespace)
        try:
            raw = await self._api.post(collection, self._body(""), lane=client.Lane.LEASE, timeout=self._bound())
        except errors.ApiError as error:
            if error.code != 409:  # a rival was faster
                raise
        else:
            self._won(wire.LEASE.decode(raw), started)

    async def _put(self, version: str) -> None:
        started = self._clock()
        raw = await self._api.put(self._path, self._body(version), lane=client.Lane.LEASE, timeout=self._bound())
        self._won(wire.LEASE.decode(raw), started)

    def _body(self, version: str) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._acquired_time = self._acquired_time or now
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                **({"resourceVersion": version} if version else {}),
            },
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": math.ceil(self._duration),
                "leaseTransitions": self.transitions,
                "acquireTime": self._acquired_time,
                "renewTime": now,
            },
        }

    def _saw(self, lease: wire.Lease) -> None:
        self.holder = lease.spec.holder_identity or ""
        if lease.metadata.resource_version != self._seen_version:
            self._seen_version = lease.metadata.resource_version
            self._seen_at = self._clock()

    def _won(self, lease: wire.Lease, started: float) -> None:
        self._saw(lease)
        if self.lost.is_set():
            return
        self._renewed = started
        if not self._leading:
            self._leading = True
            self.acquired.set()
            _LOG.info("lease acquired", extra={"identity": self.identity, "transitions": self.transitions})

    def _lose(self, cause: str) -> None:
        self._leading = False
        self.lost.set()
        _LOG.error("lease lost", extra={"identity": self.identity, "cause": cause})

    async def _release(self) -> None:
        """Give a held lease up: the next one need not wait for its end."""
        if not self._leading:
            return
        self._leading = False
        body = self._body(self._seen_version)
        body["spec"].update(holderIdentity="", leaseDurationSeconds=1)
        try:
            async with asyncio.timeout(self._retry):
                await self._api.put(self._path, body, lane=client.Lane.LEASE, timeout=self._retry)
        except _TROUBLE as error:
            _LOG.warning("lease not released, it ends by itself", extra={"cause": str(error)})
