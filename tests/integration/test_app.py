"""The process from inside, on a real API server: what happens when one of its parts fails."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from cardpool import app, settings
from cardpool.handlers import registry as kopf_registry
from cardpool.kube import auth
from cardpool.lifecycle import actions
from cardpool.runtime import loop
from e2e.cluster import rest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from e2e.cluster.context import Context

    Core = Callable[[str, float, Any], loop.Core]


def idle(_: str, __: float, ___: Any) -> loop.Core:
    """A core that wants nothing."""
    return lambda _: actions.Decision


def broken(_: str, __: float, ___: Any) -> loop.Core:
    """A core that raises."""

    def decide() -> actions.Decision:
        raise RuntimeError("broken core")

    return lambda _: decide


async def make(cluster: Context, namespace: str, folder: Path, core: Core, **values: Any) -> app.App:
    """An operator in this process, with its lease in the test's namespace."""
    chosen = settings.load(
        {
            "kubeconfig": str(cluster.kubeconfig),
            "namespace": namespace,
            "http_host": "127.0.0.1",
            "http_port": 0,
            "port_file": str(folder / "port"),
            **values,
        },
        {},
    )
    credentials = await auth.load(chosen.kubeconfig)
    return app.App(chosen, credentials, core)


def ask(folder: Path, path: str) -> tuple[int, dict[str, Any]]:
    """A probe's status code and body; (0, {}) while nobody listens."""
    port = folder / "port"
    if not port.exists():
        return 0, {}
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().strip()}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


async def until(folder: Path, path: str, code: int, what: str) -> dict[str, Any]:
    """The probe's body once it answers with that code."""

    async def look() -> dict[str, Any] | None:
        found, body = await asyncio.to_thread(ask, folder, path)
        return body if found == code else None

    return await rest.wait_for(look, 20, what)


async def test_the_end_of_kopf_is_the_end_of_the_process(
    cluster: Context, crds: None, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kopf owns log-in and handlers: without it the process ends with 1, so that it is started anew."""

    async def dies(*_: Any) -> None:
        await asyncio.sleep(0.2)
        raise RuntimeError("kopf is gone")

    monkeypatch.setattr(kopf_registry, "run", dies)
    operator = await make(cluster, namespace, tmp_path, idle)

    code = await asyncio.wait_for(operator.run(), 20)

    assert code == 1


async def test_a_core_that_keeps_failing_fails_the_liveness_probe(
    cluster: Context, crds: None, namespace: str, tmp_path: Path
) -> None:
    """The process lives on and says what is wrong; once that has lasted too long, /healthz answers 503."""
    operator = await make(cluster, namespace, tmp_path, broken, liveness_seconds=0.5)
    running = asyncio.create_task(operator.run())

    body = await until(tmp_path, "/healthz", 503, "the liveness probe fails")
    ready, _ = await asyncio.to_thread(ask, tmp_path, "/readyz")
    operator._stop.set()

    assert "RuntimeError: broken core" in body["problem"]
    assert ready == 200
    assert await asyncio.wait_for(running, 20) == 0
