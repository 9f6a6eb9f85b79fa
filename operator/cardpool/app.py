"""One operator process, wired: credentials, client, reflectors, mirror, lease, loop, commit, probes, kopf.

Order matters and is the invariant here. Reflectors run first; only a process whose mirror is whole campaigns for the
lease; only the holder runs cycles; kopf is started last, since it takes tasks made after it for its own. A stop lets go
of the lease as the last write; a lost lease ends the process at once, without another write. No cycle waits for one
watch: that of settled jobs with a TTL, which is empty but for jobs that got it after their end. The process is not
ready without it all the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from cardpool import __version__, errors, names
from cardpool.handlers import registry as kopf_registry
from cardpool.kube import auth, lease, recorder, reflector, store
from cardpool.kube import client as kube_client
from cardpool.names import Kind
from cardpool.runtime import commit, core, counts, fleet, health, inbox, loop, metrics, steps
from cardpool.settings import Settings

logger = logging.getLogger(__name__)

KOPF_STOP_SECONDS: Final = 4.0
LAG_SECONDS: Final = 0.5
EVENTS_SECONDS: Final = 0.5
WATCHED: Final = (
    Kind.NODE,
    Kind.POD,
    Kind.JOB,
    Kind.POOL,
    Kind.SUPERNODE,
    Kind.PRIORITY_CLASS,
    Kind.NAMESPACE,
    Kind.CONFIG_MAP,
)
LATE: Final = f"{Kind.JOB}/settled"


class App:
    """One process; ``run`` returns its exit code."""

    def __init__(
        self,
        settings: Settings,
        credentials: auth.Credentials,
        make_core: Callable[[str, float, store.Mirror], loop.Core] = core.bind,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._namespace = settings.namespace or credentials.namespace
        self._metrics = metrics.Metrics()
        self._pulse = health.Pulse(started=time.monotonic())
        self._inbox = inbox.Inbox()
        ceilings = {**kube_client.CEILINGS, kube_client.Lane.WRITE: settings.max_in_flight}
        self._client = kube_client.Client(credentials, ceilings=ceilings)
        late = store.Mirror(settled=True)
        self._mirror = store.Mirror(late)
        self._reflectors = {str(kind): self._reflector(kind) for kind in WATCHED}
        self._late = reflector.Reflector(self._client, late, Kind.JOB, field_selector=reflector.LATE_SELECTOR)
        self._elector = lease.Elector(
            self._client,
            self._namespace,
            settings.identity,
            name=settings.lease_name,
            duration=settings.lease_seconds,
            renew_deadline=settings.renew_seconds,
            retry=settings.retry_seconds,
        )
        if settings.leader_election:
            self._client.before_write = self._elector.check
        self._recorder = recorder.Recorder(self._client, settings.identity)
        self._committer = self._make_committer()
        self._core = make_core(settings.resolver_image, settings.status_seconds, self._mirror)
        self._health = health.Health(
            pulse=self._pulse,
            watches=self._watches,
            lease=self._lease,
            pending=self._pending,
            patience=settings.liveness_seconds,
            resync=settings.resync_seconds,
        )
        self._server = health.Server(self._health, self._metrics)
        self._stop = asyncio.Event()
        self._kopf_stop = asyncio.Event()
        self._synced = asyncio.Event()

    async def run(self) -> int:
        """Run until a signal (0), or until the lease is lost or something that must run has ended (1)."""
        settings = self._settings
        self._metrics.watch_ages(
            lambda: {kind: watch.age for kind, watch in self._watches().items() if watch.age is not None}
        )
        self._metrics.counted(lambda: counts.read(self._client, self.watches(), self._recorder))
        self._signals()
        await self._server.start(settings.http_host, settings.http_port, settings.port_file)
        tasks = {name: asyncio.create_task(work, name=name) for name, work in self._work().items()}
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        lost = asyncio.create_task(self._lost(), name="lease lost")
        try:
            await asyncio.wait([stopping, lost, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            code = self._judge(stopping, lost, tasks)
        finally:
            await self._shut(tasks, release=not lost.done())
            for task in (stopping, lost):
                task.cancel()
        logger.info("stopped", extra={"code": code})
        return code

    def _work(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            **{f"watch {name}": watch.run() for name, watch in self.watches().items()},
            "sync": self._wait_synced(),
            "events": self._recorder.run(),
            "lag": self._measure_lag(),
            "lease": self._campaign(),
            "cycles": self._lead(),
            "kopf": self._kopf(),
        }

    async def _wait_synced(self) -> None:
        for watch in self._reflectors.values():
            await watch.synced.wait()
        sizes = {str(kind): self._mirror.size(kind) for kind in WATCHED}
        logger.info("mirror is whole", extra={"objects": sizes})
        self._synced.set()
        await asyncio.Event().wait()

    async def _campaign(self) -> None:
        await self._synced.wait()
        if self._settings.leader_election:
            await self._elector.run()
        else:
            await asyncio.Event().wait()

    async def _lead(self) -> None:
        await self._synced.wait()
        if self._settings.leader_election:
            await self._elector.acquired.wait()
        logger.info("leading", extra={"identity": self._settings.identity, "namespace": self._namespace})
        self._metrics.leading.set(1)
        self._pulse.took_lead(time.monotonic())
        await loop.Loop(
            source=self._mirror,
            sink=self._committer,
            mailbox=self._inbox,
            core=self._core,
            instruments=self._metrics,
            pulse=self._pulse,
            debounce=self._settings.debounce_seconds,
            resync=self._settings.resync_seconds,
        ).run()

    async def _kopf(self) -> None:
        """Kopf serves once all kinds are: it looks for them only at its start, and takes the signals for itself."""
        await self._synced.wait()
        ready = asyncio.Event()
        memo = kopf_registry.Memo(self._inbox, self._credentials)
        signals = asyncio.create_task(self._signals_after(ready), name="signals")
        try:
            await kopf_registry.run(memo, self._kopf_stop, ready)
        finally:
            signals.cancel()

    async def _signals_after(self, ready: asyncio.Event) -> None:
        await ready.wait()
        self._signals()

    async def _lost(self) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._elector.lost, self._committer.lease_lost)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _measure_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_SECONDS)
            self._metrics.lag.set(max(0.0, time.monotonic() - before - LAG_SECONDS))

    def _judge(
        self, stopping: asyncio.Task[Any], lost: asyncio.Task[None], tasks: Mapping[str, asyncio.Task[None]]
    ) -> int:
        if lost.done():
            logger.error("the lease is lost: the process ends without another write")
            return 1
        for name, task in tasks.items():
            if task.done() and not stopping.done():
                error = None if task.cancelled() else task.exception()
                logger.error("%s ended, and so does the process", name, exc_info=error)
                return 1
        return 0

    async def _shut(self, tasks: dict[str, asyncio.Task[None]], *, release: bool) -> None:
        """Stop what writes, let go of the lease, then stop the rest."""
        campaign, kopf_task = tasks["lease"], tasks["kopf"]
        tasks["cycles"].cancel()
        await self._committer.stop()
        if release and self._pulse.leading:
            await self._recorder.drain(EVENTS_SECONDS)
        if release and self._settings.leader_election and not campaign.done() and self._synced.is_set():
            self._elector.stop()
            await asyncio.wait(
                [campaign], timeout=self._settings.renew_seconds / 2 + self._settings.retry_seconds + 1.0
            )
        self._metrics.leading.set(0)
        self._kopf_stop.set()
        if release and not kopf_task.done() and self._synced.is_set():
            await asyncio.wait([kopf_task], timeout=KOPF_STOP_SECONDS)
        for task in tasks.values():
            task.cancel()
        await asyncio.wait(tasks.values(), timeout=1.0)
        await self._server.stop()
        await self._client.close()

    def _reflector(self, kind: Kind) -> reflector.Reflector:
        if kind is Kind.JOB:
            return reflector.Reflector(self._client, self._mirror, kind, field_selector=reflector.JOB_SELECTOR)
        if kind is Kind.CONFIG_MAP:
            namespace = self._settings.vendors_namespace or self._namespace
            selector = f"{names.LABEL_VENDORS}=true"
            return reflector.Reflector(self._client, self._mirror, kind, namespace=namespace, label_selector=selector)
        return reflector.Reflector(self._client, self._mirror, kind)

    def _make_committer(self) -> commit.Committer:
        performer = steps.Steps(
            self._client,
            self._mirror,
            self._recorder,
            self._metrics,
            wall=time.time,
            in_flight=self._settings.max_in_flight,
        )
        return commit.Committer(
            mirror=self._mirror,
            performer=performer,
            nodes=fleet.Fleet(self._client, self._mirror, self._metrics),
            instruments=self._metrics,
            wake=self._inbox.ring,
            quiet=self._settings.status_seconds,
        )

    def _watches(self) -> dict[str, health.Watch]:
        return {
            name: health.Watch(
                watch.synced.is_set(), watch.age() if watch.synced.is_set() else None, watch.problem, watch.last_rv
            )
            for name, watch in self.watches().items()
        }

    def watches(self) -> dict[str, reflector.Reflector]:
        """All watches by name, those included that no cycle waits for."""
        return {**self._reflectors, LATE: self._late}

    def _pending(self) -> bool:
        unseen = self._mirror.changed.is_set() or self._inbox.rung
        return unseen or self._committer.writing() > 0 or self._committer.next_due() is not None

    def _lease(self) -> health.Lease:
        if not self._settings.leader_election:
            return health.Lease()
        age = self._elector.age()
        return health.Lease(age if math.isfinite(age) else None, self._elector.holder, self._elector.problem)

    def _signals(self) -> None:
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stop.set)


async def run(settings: Settings) -> int:
    """Load the credentials and run one operator; SettingsError where nothing usable is found."""
    credentials = await auth.load(settings.kubeconfig or None, settings.context or None)
    if not credentials.server:
        raise errors.SettingsError("no API server: give --kubeconfig, set KUBECONFIG, or run in a cluster")
    logger.info("starting", extra={"version": __version__, "server": credentials.server, **settings.shown()})
    return await App(settings, credentials).run()
