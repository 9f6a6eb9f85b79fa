"""An API server that says exactly what a test wrote down, to the byte, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from kubernetes.aio.client import Configuration

from cardpool.kube import auth, client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    verb: str
    path: str
    query: Mapping[str, str]
    body: Any
    at: float


@dataclass(slots=True)
class Server:
    """Answers requests from queues of replies, one queue a verb (LIST, WATCH, GET, POST, …)."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    replies: dict[str, deque[Reply]] = field(default_factory=lambda: defaultdict(deque))
    in_flight: int = 0
    most_in_flight: int = 0

    def say(self, verb: str, *replies: Reply) -> None:
        """Queue replies; a WATCH without one stays open and silent, anything else is answered with 404."""
        self.replies[verb].extend(replies)

    def count(self, verb: str) -> int:
        """How often it was asked."""
        return sum(item.verb == verb for item in self.asked)

    def of(self, verb: str) -> list[Asked]:
        """What it was asked, in order."""
        return [item for item in self.asked if item.verb == verb]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await request.read()
        verb = request.method
        if verb == "GET" and ("limit" in request.query or "watch" in request.query):
            verb = "WATCH" if "watch" in request.query else "LIST"
        parsed = json.loads(body) if body else None
        self.asked.append(Asked(verb, request.path, dict(request.query), parsed, time.monotonic()))
        queue = self.replies[verb]
        reply = queue.popleft() if queue else (stream() if verb == "WATCH" else status(404, "NotFound"))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await reply(request)
        finally:
            self.in_flight -= 1


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server on a free port."""
    server = Server()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def credentials(url: str) -> auth.Credentials:
    """Credentials of nobody for a plain HTTP server."""
    return auth.Credentials(Configuration(host=url), "default")


def api(server: Server, **options: Any) -> client.Client:
    """A client of the server."""
    return client.Client(credentials(server.url), **options)


def answer(body: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Reply with this JSON."""

    async def reply(_: web.Request) -> web.StreamResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=data, status=code, headers=headers, content_type="application/json")

    return reply


def status(code: int, reason: str, message: str = "", headers: Mapping[str, str] | None = None) -> Reply:
    """Reply with an error as the API server words it."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message or reason}
    return answer(body, code, headers)


def page(items: list[Any], version: int, token: str = "") -> Reply:
    """Reply with one page of a list."""
    return answer({"metadata": {"resourceVersion": str(version), "continue": token}, "items": items})


def dropped() -> Reply:
    """Break the connection in the middle of a list."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"metadata": {"resourceVersion": "1"}, "items": [')
        assert request.transport is not None
        request.transport.abort()
        return response

    return reply


def after(seconds: float, then: Reply) -> Reply:
    """Reply later."""

    async def reply(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await then(request)

    return reply


def event(kind: str, obj: Any) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    """A bookmark's line."""
    return event("BOOKMARK", {"kind": "Node", "metadata": {"resourceVersion": str(version)}})


def error(code: int, reason: str, message: str = "") -> bytes:
    """An ERROR line."""
    return event("ERROR", {"kind": "Status", "code": code, "reason": reason, "message": message or reason})


def stream(*lines: bytes, end: str = "open") -> Reply:
    """Reply with a watch: ``end`` is open (stay silent), close (end it properly) or drop (break the connection)."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        if end == "open":
            await asyncio.sleep(60)
        if end == "drop":
            assert request.transport is not None
            request.transport.abort()
        return response

    return reply


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for a condition; AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.005)
