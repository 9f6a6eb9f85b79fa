"""The views of the command line, over scripted API answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console

from cardpool import errors, views
from tests.support import builders
from tests.unit.runtime.scripted import JOB_PATH, Api


class Pages(Api):
    """Lists objects in pages of one."""

    async def list_page(self, path: str, *, token: str = "", **_: Any) -> bytes:
        self.log.append(("list", path))
        items = [obj for key, obj in sorted(self.objects.items()) if f"/{path.rpartition('/')[2]}/" in key]
        start = int(token or 0)
        more = str(start + 1) if start + 1 < len(items) else ""
        return json.dumps({"metadata": {"continue": more}, "items": items[start : start + 1]}).encode()


STATUS = {
    "phase": "Queued",
    "attempt": 2,
    "ready": "0/2",
    "lastFault": {"reason": "CardUnhealthy", "node": "n-1", "charged": False},
    "excluded": [{"node": "n-1", "reason": "BindTimeout", "until": "2026-01-01T00:00:00Z"}],
    "conditions": [
        {"type": "PodsScheduled", "status": "False", "reason": "InsufficientCards", "message": "1 of 2 pods [fit]"}
    ],
}


def api() -> Pages:
    """Two jobs and a pool."""
    made = Pages()
    for name in ("llm", "other"):
        path = JOB_PATH.replace("llm", name)
        made.put_object(path, {**builders.job(name, "team", "main"), "status": STATUS if name == "llm" else {}})
    cards = {"total": 16, "healthy": 15, "free": 3, "faulty": 1}
    degraded = {"type": "Degraded", "status": "True", "reason": "CardsFaulty", "message": "one"}
    slots = [{"gang": 1, "count": 3}, {"gang": 8, "count": 4}, {"gang": 64, "count": 0}]
    status = {"nodes": 2, "cards": cards, "slots": slots, "queued": 1, "running": 4, "conditions": [degraded]}
    made.put_object("/apis/cardpool.dev/v1alpha1/cardpools/main", {**builders.pool("main"), "status": status})
    return made


async def test_explain_tells_why_a_job_waits() -> None:
    """Reason and counting message lead; the last fault and the avoided nodes follow."""
    answer = await views.explain(api(), "team", "llm")  # type: ignore[arg-type]
    text = views.explain_text(answer)

    assert answer["why"] == {
        "condition": "PodsScheduled=False",
        "reason": "InsufficientCards",
        "message": "1 of 2 pods [fit]",
    }
    for part in ("Queued", "InsufficientCards", "CardUnhealthy", "avoids n-1"):
        assert part in text


async def test_explain_renders_what_people_wrote() -> None:
    """Square brackets in a message are text and no markup."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(views.explain_text(await views.explain(api(), "team", "llm")))  # type: ignore[arg-type]

    assert "1 of 2 pods [fit]" in captured.get()


async def test_a_smaller_gang_is_told_of() -> None:
    """How many pods an elastic gang has, and how many it wants."""
    made = api()
    size = {"pods": 3, "wanted": 4, "groups": [{"name": "worker", "pods": 3}]}
    made.put_object(JOB_PATH, {**builders.job("llm", "team", "main"), "status": {**STATUS, "size": size}})
    answer = await views.explain(made, "team", "llm")  # type: ignore[arg-type]

    assert size == answer["size"]
    assert "has 3 of the 4 pods that it wants" in views.explain_text(answer)
    assert [job["wanted"] for job in (await views.top(made))["jobs"]] == [4, ""]  # type: ignore[arg-type]


async def test_a_job_that_is_not_there_is_an_input_error() -> None:
    """The message names it."""
    with pytest.raises(errors.InputError, match="team/none"):
        await views.explain(api(), "team", "none")  # type: ignore[arg-type]


async def test_top_reads_every_page() -> None:
    """Pools with their cards and state, all jobs over several pages, empty tables as well."""
    answer = await views.top(api())  # type: ignore[arg-type]

    pool = {"name": "main", "nodes": 2, "total": 16, "healthy": 15, "free": 3, "faulty": 1, "quarantined": 0}
    assert [{**pool, "slots": "8:4 64:0", "queued": 1, "running": 4, "state": "Degraded: CardsFaulty"}] == answer[
        "pools"
    ]
    assert [job["name"] for job in answer["jobs"]] == ["llm", "other"]
    assert [job["phase"] for job in answer["jobs"]] == ["Queued", "unseen"]
    assert [max(table.row_count, 1) for table in views.top_tables(answer)] == [1, 1, 2]
