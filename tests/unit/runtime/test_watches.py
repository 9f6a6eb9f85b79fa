"""Every watch of the process has a say in whether it is ready, and is counted under a name of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cardpool import app, settings
from cardpool.runtime import counts
from tests.unit.kube import scripted

if TYPE_CHECKING:
    from aiohttp import web


async def listed(request: web.Request) -> web.StreamResponse:
    """An empty list; whoever asks for settled jobs may not."""
    if "status.settled=true" in request.query.get("fieldSelector", ""):
        return await scripted.status(403, "Forbidden", "no settled jobs for you")(request)
    return await scripted.page([], 1)(request)


async def test_a_watch_of_settled_jobs_that_is_refused_keeps_the_process_unready() -> None:
    """Jobs that got a TTL after their end would never go away: the probe and the metrics say which watch fails."""
    async with scripted.serving() as server:
        server.say("LIST", *[listed] * 100)
        chosen = settings.load({"namespace": "default"}, {})
        operator = app.App(chosen, scripted.credentials(server.url))
        watches = operator.watches()
        tasks = [asyncio.create_task(watch.run()) for watch in watches.values()]
        async with asyncio.timeout(5):
            for kind in app.WATCHED:
                await watches[kind].synced.wait()
            await scripted.until(lambda: bool(watches[app.LATE].problem))
        report = operator._health.ready()
        counted = {one.name: one.values for one in counts.read(operator._client, watches, operator._recorder)}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await operator._client.close()

    assert (report.ok, report.body["notSynced"]) == (False, ["TrainingJob/settled"])
    assert "no settled jobs for you" in report.body["watches"]["TrainingJob/settled"]["problem"]
    errors = counted["watch_errors"]
    assert (errors["TrainingJob"], errors["TrainingJob/settled"] > 0) == (0, True)
