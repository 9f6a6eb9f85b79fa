"""kopf's side: handlers only put keys, and kopf itself writes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cardpool.handlers import registry, resources
from cardpool.runtime import inbox

HANDLERS = {
    "a job": (resources.job, {"namespace": "team", "name": "llm"}, "team/llm"),
    "a pool": (resources.pool, {"namespace": None, "name": "main"}, "main"),
    "a supernode": (resources.supernode, {"namespace": None, "name": "sn-0"}, "sn-0"),
}


@pytest.mark.parametrize(("handler", "given", "expected"), HANDLERS.values(), ids=HANDLERS.keys())
async def test_a_handler_puts_the_key(handler: Any, given: dict[str, Any], expected: str) -> None:
    """Every event of an object, a deletion too, asks for it and nothing else."""
    memo = registry.Memo(inbox.Inbox(), credentials=None)

    returned = await handler(**given, memo=memo, type="DELETED", body={})

    assert (returned, memo.inbox.drain()) == (None, frozenset({expected}))


def test_the_memo_is_shared() -> None:
    """Kopf copies the memo for each object; ours stays one."""
    memo = registry.Memo(inbox.Inbox(), credentials=None)

    assert copy.copy(memo) is memo


def test_the_registry_has_the_three_kinds_and_no_handler_that_writes() -> None:
    """Only event handlers and the log-in: no finalizer, no annotation, no daemon."""
    built = registry.build()
    watching = {handler.id for handler in built._watching.get_all_handlers()}

    assert watching == {"trainingjobs-event", "cardpools-event", "supernodes-event"}
    assert list(built._changing.get_all_handlers()) == []
    assert list(built._spawning.get_all_handlers()) == []


def test_kopf_is_told_to_keep_to_itself() -> None:
    """No Events, no peering, no scan for kinds, and finished jobs are not watched."""
    made = registry.settings()

    assert (made.posting.enabled, made.peering.standalone, made.scanning.disabled) == (False, True, True)
    assert made.persistence.diffbase_storage.build(body={"spec": {"a": 1}}) == {}
