"""The one way to the API server: raw bytes over one aiohttp session, in lanes, with a fence before each write.

Bodies go out and come in as bytes, because decoding belongs to msgspec. Each lane has its own window, so that a burst
of pods never delays the Lease or a status. A request that the server refused with 429 was not carried out and is sent
again; a write without an answer is not repeated here: its outcome is unknown and the caller must look. (aiohttp may
send a PUT or DELETE once more when a kept-alive connection was just closed; both carry preconditions.)
"""

# ruff: noqa: ASYNC109 - a time-out here is the request's own, with time in the window not counted

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
import tenacity
from aiohttp.abc import AbstractStreamWriter

from cardpool import errors, names
from cardpool.kube import auth, wire
from cardpool.kube.window import Window

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"

_TIMEOUT: Final = 15.0
_READ_ATTEMPTS: Final = 5
_THROTTLE_ATTEMPTS: Final = 20
_UNAVAILABLE: Final = frozenset({500, 502, 503, 504})
_STATUS: Final = msgspec.json.Decoder(wire.Status)


class Lane(StrEnum):
    """Which window a request goes through."""

    READ = "read"
    WRITE = "write"
    STATUS = "status"
    LEASE = "lease"


CEILINGS: Final[Mapping[Lane, int]] = {Lane.READ: 8, Lane.WRITE: 48, Lane.STATUS: 16, Lane.LEASE: 2}


class Client:
    """Requests to one API server.

    ``before_write`` runs before each write outside the lease's own lane, and once more as its bytes go out: between the
    two a connection may have to be made and a burst of neighbours be sent, and a process may be stopped meanwhile.
    """

    def __init__(
        self,
        credentials: auth.Credentials,
        *,
        before_write: Callable[[], None] | None = None,
        ceilings: Mapping[Lane, int] = CEILINGS,
    ) -> None:
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None
        self.before_write = before_write
        self.stats: dict[Lane, Window] = {lane: Window(ceiling) for lane, ceiling in ceilings.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; watches end with UnreachableError."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, lane: Lane = Lane.READ, timeout: float = _TIMEOUT
    ) -> bytes:
        """Return an object's or a list's JSON; asked again on 429, 5xx and broken connections."""
        send = functools.partial(self._in_lane, "GET", path, params=params, lane=lane, timeout=timeout)
        return await _retrying(_read_may_repeat, 1 if lane is Lane.LEASE else _READ_ATTEMPTS, send)

    async def list_page(
        self, path: str, *, limit: int, token: str = "", params: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> bytes:
        """Return one page of a list, consistent with the first page that ``token`` came from; ApiError 410 if old."""
        query = {**(params or {}), "limit": str(limit), **({"continue": token} if token else {})}
        return await self._in_lane("GET", path, params=query, lane=Lane.READ, timeout=timeout)

    async def post(
        self,
        path: str,
        body: Any,
        *,
        params: Mapping[str, str] | None = None,
        lane: Lane = Lane.WRITE,
        timeout: float = _TIMEOUT,
    ) -> bytes:
        """Create an object; UnreachableError or a 5xx leaves the outcome unknown."""
        return await self._write("POST", path, body, JSON, params, lane, timeout)

    async def put(
        self,
        path: str,
        body: Any,
        *,
        params: Mapping[str, str] | None = None,
        lane: Lane = Lane.WRITE,
        timeout: float = _TIMEOUT,
    ) -> bytes:
        """Replace an object; the resourceVersion in the body is the precondition (ApiError 409)."""
        return await self._write("PUT", path, body, JSON, params, lane, timeout)

    async def patch(
        self,
        path: str,
        body: Any,
        *,
        content_type: str = MERGE_PATCH,
        params: Mapping[str, str] | None = None,
        lane: Lane = Lane.WRITE,
        timeout: float = _TIMEOUT,
    ) -> bytes:
        """Patch an object; uid and resourceVersion in a merge patch's metadata are preconditions (ApiError 409)."""
        return await self._write("PATCH", path, body, content_type, params, lane, timeout)

    async def apply(
        self, path: str, body: Any, *, force: bool = False, lane: Lane = Lane.WRITE, timeout: float = _TIMEOUT
    ) -> bytes:
        """Apply on the server's side as our field manager; ApiError 409 names fields of others unless ``force``."""
        params = {"fieldManager": names.FIELD_MANAGER, "force": "true" if force else "false"}
        return await self._write("PATCH", path, body, APPLY, params, lane, timeout)

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace: int | None = None,
        propagation: str | None = None,
        lane: Lane = Lane.WRITE,
        timeout: float = _TIMEOUT,
    ) -> bytes:
        """Delete exactly the object with this UID (ApiError 409 where another has its name); ``grace`` in seconds."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {key: value for key, value in conditions.items() if value} or None,
            "gracePeriodSeconds": grace,
            "propagationPolicy": propagation,
        }
        body = {key: value for key, value in options.items() if value is not None}
        return await self._write("DELETE", path, body, JSON, None, lane, timeout)

    async def lines(self, path: str, params: Mapping[str, str], inactivity: float) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a watch until the server ends it.

        UnreachableError on a break or after ``inactivity`` seconds of silence; a partial last line is dropped.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=inactivity)
        session = self._open()
        try:
            async with session.get(
                self._url(path), params=dict(params), headers=await self._headers(), timeout=timeout, **self._extras()
            ) as response:
                if response.status >= 400:
                    raise await self._error(response)
                rest: list[bytes] = []
                async for chunk in response.content.iter_any():
                    head, newline, tail = chunk.partition(b"\n")
                    rest.append(head)
                    while newline:
                        if line := b"".join(rest):
                            yield line
                        head, newline, tail = tail.partition(b"\n")
                        rest = [head]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise errors.UnreachableError(f"watch {path}: {type(error).__name__} {error}") from error

    async def _write(
        self,
        method: str,
        path: str,
        body: Any,
        content_type: str,
        params: Mapping[str, str] | None,
        lane: Lane,
        timeout: float,
    ) -> bytes:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        send = functools.partial(
            self._in_lane, method, path, params=params, lane=lane, timeout=timeout, data=data, content_type=content_type
        )
        return await _retrying(_was_throttled, 1 if lane is Lane.LEASE else _THROTTLE_ATTEMPTS, send)

    async def _in_lane(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        lane: Lane,
        timeout: float,
        data: bytes | None = None,
        content_type: str = JSON,
    ) -> bytes:
        window = self.stats[lane]
        async with window:
            headers = {**await self._headers(), **({"Content-Type": content_type} if data is not None else {})}
            body: bytes | _Fenced | None = data
            if data is not None and lane is not Lane.LEASE and self.before_write is not None:
                self.before_write()
                body = _Fenced(data, self.before_write)
            try:
                answer = await self._send(method, path, params=params, data=body, headers=headers, timeout=timeout)
            except errors.ApiError as error:
                if error.code == 429:
                    window.throttle(error.retry_after)
                raise
            window.succeeded()
            return answer

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        data: bytes | _Fenced | None,
        headers: Mapping[str, str],
        timeout: float,
    ) -> bytes:
        session = self._open()
        try:
            async with session.request(
                method,
                self._url(path),
                params=params,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 10.0)),
                **self._extras(),
            ) as response:
                if response.status >= 400:
                    raise await self._error(response)
                return await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if isinstance(data, _Fenced) and data.stopped is not None:
                raise data.stopped from error
            raise errors.UnreachableError(f"{method} {path}: {type(error).__name__} {error}") from error

    async def _error(self, response: aiohttp.ClientResponse) -> errors.ApiError:
        if response.status == 401:
            await self._credentials.refresh(1.0)
        return parse_error(response.status, await response.read(), response.headers.get("Retry-After"))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = self._credentials.ssl_context()
            connector = aiohttp.TCPConnector(limit=0, ssl=True if context is None else context)
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=2**20, trust_env=False)
        return self._session

    def _url(self, path: str) -> str:
        return f"{self._credentials.server}{path}"

    def _extras(self) -> dict[str, Any]:
        extras = {"proxy": self._credentials.proxy, "server_hostname": self._credentials.tls_server_name}
        return {key: value for key, value in extras.items() if value}

    async def _headers(self) -> dict[str, str]:
        # Compression costs both ends more time than it saves inside one data centre.
        own = {"Accept": JSON, "Accept-Encoding": "identity", "User-Agent": "cardpool"}
        return {**own, **await self._credentials.headers()}


class _Fenced(aiohttp.BytesPayload):
    """A body that asks the fence in the moment in which it is written; ``stopped`` is what the fence raised.

    aiohttp writes a body in a task of its own and holds the head of the request back until then.
    """

    def __init__(self, value: bytes, fence: Callable[[], None]) -> None:
        super().__init__(value)
        self.stopped: errors.LeaseLostError | None = None
        self._fence = fence

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        try:
            self._fence()
        except errors.LeaseLostError as error:
            self.stopped = error
            raise
        await super().write_with_length(writer, content_length)


def parse_error(code: int, body: bytes, retry_after: str | None = None) -> errors.ApiError:
    """Return the error of an answer with this HTTP status; a body that is no Status becomes the message."""
    try:
        status = _STATUS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        status = wire.Status(message=body[:512].decode("utf-8", "replace").strip())
    seconds = retry_after if retry_after and retry_after.isdecimal() else None
    wait = float(seconds) if seconds else (float(status.details.retry_after) if status.details else 0.0)
    return errors.ApiError(code, status.reason or "Unknown", status.message, wait or None)


def _was_throttled(error: BaseException) -> bool:
    return isinstance(error, errors.ApiError) and error.code == 429


def _read_may_repeat(error: BaseException) -> bool:
    if isinstance(error, errors.ApiError):
        return error.code in {401, 429} or error.code in _UNAVAILABLE
    return isinstance(error, errors.UnreachableError)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, errors.ApiError) and error.code == 429:
        return 0.0  # the window itself waits
    floor = error.retry_after if isinstance(error, errors.ApiError) and error.retry_after else 0.0
    return max(floor, random.uniform(0.5, 1.0) * min(5.0, 0.1 * 2.0**state.attempt_number))


async def _retrying(
    predicate: Callable[[BaseException], bool], attempts: int, send: Callable[[], Awaitable[bytes]]
) -> bytes:
    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=_wait,
        retry=tenacity.retry_if_exception(predicate),
        sleep=asyncio.sleep,
        reraise=True,
    )
    return await retrying(send)
