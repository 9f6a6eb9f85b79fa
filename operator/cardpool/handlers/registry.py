"""The kopf operator: its registry, its settings, and nothing global.

kopf logs in, watches our three kinds and calls handlers that put a key into the inbox. It persists nothing and writes
nothing: no finalizer, no annotation, no Event, no peering; the reasons stand beside each setting.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import kopf

from cardpool import names
from cardpool.handlers import activities, resources
from cardpool.kube import auth, reflector
from cardpool.runtime import inbox

KINDS: Final[dict[str, Any]] = {
    "trainingjobs": resources.job,
    "cardpools": resources.pool,
    "supernodes": resources.supernode,
}


class Memo:
    """What every handler gets: one shared value, since copying it returns itself."""

    def __init__(self, mailbox: inbox.Inbox, credentials: auth.Credentials) -> None:
        self.inbox = mailbox
        self.credentials = credentials

    def __copy__(self) -> Memo:
        return self


class NoDiff(kopf.DiffBaseStorage):
    """No last-handled state: handlers see events, never differences, so building one would be wasted time."""

    def build(self, **_: Any) -> Any:
        """Nothing of an object is kept."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Nothing was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept."""


class NoProgress(kopf.ProgressStorage):
    """No handler of ours is retried, so there is no progress to keep."""

    def fetch(self, **_: Any) -> Any:
        """No progress was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept."""

    def purge(self, **_: Any) -> None:
        """Nothing is there to purge."""

    def touch(self, **_: Any) -> None:
        """Objects are never touched."""

    def clear(self, *, essence: Any) -> Any:
        """The essence is empty already; copying it would be wasted time."""
        return essence


def build() -> kopf.OperatorRegistry:
    """A registry with the handlers of the three kinds and the log-in."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login", errors=kopf.ErrorsMode.TEMPORARY)(activities.login)
    for plural, handler in KINDS.items():
        kopf.on.event(names.GROUP, names.VERSION, plural, registry=registry, id=f"{plural}-event")(handler)
    return registry


def settings() -> kopf.OperatorSettings:
    """Kopf's settings for an operator that only listens."""
    made = kopf.OperatorSettings()
    made.scanning.disabled = True  # the kinds are fixed; needs no right to list CRDs
    made.peering.standalone = True  # the Lease decides who leads
    made.posting.enabled = False  # Events go through our own recorder, one a transition
    made.networking.request_timeout = 15
    made.networking.connect_timeout = 5
    made.networking.error_backoffs = (1, 2, 4)
    made.networking.enforce_retry_after = True
    made.watching.server_timeout = 290
    made.watching.client_timeout = 310
    made.watching.inactivity_timeout = 70
    made.watching.field_selectors["trainingjobs"] = reflector.JOB_SELECTOR  # finished jobs cost nothing
    made.queueing.idle_timeout = 5
    made.execution.max_workers = 4  # all handlers are coroutines
    made.persistence.finalizer = f"{names.GROUP}/unused"
    made.persistence.diffbase_storage = NoDiff()
    made.persistence.progress_storage = NoProgress()
    made.process.ultimate_exiting_timeout = 30
    return made


async def run(memo: Memo, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Run kopf until ``stop`` is set; its end without that is the process's end.

    kopf takes every task made after its start for its own and cancels it when it stops, so it is started last.
    """
    logging.getLogger("kopf").debug("kopf starts")
    await kopf.operator(
        registry=build(),
        settings=settings(),
        memo=memo,
        stop_flag=stop,
        ready_flag=ready,
        clusterwide=True,
        standalone=True,
    )
