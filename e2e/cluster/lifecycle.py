"""Brings one cluster up and down. Both can be repeated: up leaves what runs as asked, down ends when nothing is left.

Invariant: everything that was started has a pid file before the next thing starts, so a broken `up` can be taken down.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from e2e.cluster import binaries, context, controlplane, fake, paths, probes
from e2e.cluster.certs import Authority
from e2e.cluster.context import Context, RealProfile
from e2e.cluster.processes import Processes
from e2e.cluster.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def up(name: str, settings: Settings, say: Callable[[str], None] = print) -> Context:
    """Start the cluster, or what is missing of it, and return it; profiles that it already has stay."""
    state = paths.state(name)
    real = _real() if "real" in settings.profiles else None
    programs = binaries.ensure(_programs(settings, real))
    with _lock(state):
        before = Settings.load(state)
        if before is not None:
            settings = replace(settings, profiles=tuple(sorted({*before.profiles, *settings.profiles})))
            real = _real() if "real" in settings.profiles else None
            programs |= binaries.ensure(_programs(settings, real))
        settings.save(state)
        address = real.address(name, state) if real is not None else probes.LOOPBACK
        ctx = _context(name, state, address, programs)
        say(f"starting the control plane at {ctx.server}")
        controlplane.start(ctx, settings)
        if "fake" in settings.profiles:
            fake.start(ctx, settings)
        if real is not None:
            say("starting the real nodes")
            real.up(ctx)
    return ctx


def down(name: str, say: Callable[[str], None] = print) -> None:
    """End all programs of the cluster, the newest first, and remove its folder; returns when they are gone."""
    state = paths.state(name)
    if not state.exists():
        say(f"there is no cluster {name}")
        return
    with _lock(state):
        settings = Settings.load(state)
        if settings is not None and "real" in settings.profiles:
            say("stopping the real nodes")
            _real().down(name, state)
        processes = Processes(state)
        for running in reversed(processes.running()):
            processes.stop(running.name)
        shutil.rmtree(state)
    say(f"cluster {name} is down")


def status(name: str) -> dict[str, bool]:
    """Every program that was started, in the order of its start, and whether it lives."""
    return {one.name: one.alive for one in Processes(paths.state(name)).running()}


def existing(name: str) -> Context | None:
    """The running cluster of that name, None if its API server does not run."""
    state = paths.state(name)
    processes = Processes(state)
    server = processes.find("kube-apiserver")
    settings = Settings.load(state)
    if server is None or settings is None:
        return None
    address = next(word.partition("=")[2] for word in server.argv if word.startswith("--bind-address="))
    real = _real() if "real" in settings.profiles else None
    return _context(name, state, address, binaries.ensure(_programs(settings, real)))


def real_missing() -> str | None:
    """Why real nodes cannot run here, in a line that says what to install; None if they can."""
    if importlib.util.find_spec("e2e.cluster.real") is None:
        return "this checkout has no real node profile"
    return _real().missing()


def _context(name: str, state: Path, address: str, programs: dict[str, Path]) -> Context:
    return Context(
        name=name,
        state=state,
        address=address,
        api_port=context.port(state, "kube-apiserver"),
        programs=programs,
        authority=Authority(state / "pki"),
        processes=Processes(state),
    )


def _programs(settings: Settings, real: RealProfile | None) -> list[str]:
    names = list(binaries.CONTROL_PLANE)
    names += fake.PROGRAMS if "fake" in settings.profiles else ()
    names += real.programs() if real is not None else ()
    return names


def _real() -> RealProfile:
    return cast("RealProfile", importlib.import_module("e2e.cluster.real"))


@contextmanager
def _lock(state: Path) -> Iterator[None]:
    """One up or down at a time; the lock lies beside the folder, which `down` removes."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_name(f".{state.name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
