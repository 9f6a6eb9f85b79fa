"""Making one object surely once."""

from __future__ import annotations

import pytest

from cardpool import errors
from cardpool.runtime import creation
from cardpool.runtime.creation import Outcome
from tests.unit.runtime import scripted
from tests.unit.runtime.scripted import PODS, UID, Bench, Dropped, Lost, owned, refused

NAME = "llm-worker-0"
PATH = f"{PODS}/{NAME}"


async def create(bench: Bench, *, allowed: bool = True) -> creation.Made:
    """Create the pod of attempt 0."""
    return await bench.steps._creator.create(scripted.pod(), UID, lambda: allowed)


THERE = {
    "ours of this attempt": (owned("Pod", NAME), Outcome.MADE),
    "ours of an older attempt": (owned("Pod", NAME, attempt=7), Outcome.OLD),
    "ours but dying": (owned("Pod", NAME, deletionTimestamp="2026-01-01T00:00:00Z"), Outcome.OLD),
    "another controller's": (owned("Pod", NAME, owner="other"), Outcome.FOREIGN),
    "nobody's": (owned("Pod", NAME, ownerReferences=[]), Outcome.FOREIGN),
}


@pytest.mark.parametrize(("there", "expected"), THERE.values(), ids=THERE.keys())
async def test_what_has_the_name_already_is_judged(there: dict, expected: Outcome) -> None:
    """AlreadyExists is answered by looking at controller, attempt and deletion."""
    bench = Bench()
    bench.api.put_object(PATH, there)

    made = await create(bench)

    assert expected == made.outcome


async def test_a_resumed_execution_is_not_taken_for_ours() -> None:
    """A pod of the same attempt but an earlier execution is old: a resume keeps the attempt."""
    bench = Bench()
    there = owned("Pod", NAME)
    there["metadata"]["labels"]["cardpool.dev/execution-attempt"] = "5"
    bench.api.put_object(PATH, there)

    assert (await create(bench)).outcome is Outcome.OLD


async def test_a_lost_answer_is_looked_up() -> None:
    """A POST that was carried out but never answered is found by a GET and not repeated."""
    bench = Bench()
    bench.api.fail("post", NAME, Lost())

    made = await create(bench)

    assert made.outcome is Outcome.MADE
    assert bench.api.log == [("post", PATH), ("get", PATH)]


async def test_a_lost_request_is_sent_again() -> None:
    """A POST that never arrived is repeated once the look-up says that nothing is there."""
    bench = Bench()
    bench.api.fail("post", NAME, Dropped(), refused(500, "InternalError"))

    made = await create(bench)

    assert made.outcome is Outcome.MADE
    assert [verb for verb, _ in bench.api.log] == ["post", "get", "post", "get", "post"]


async def test_no_answer_at_all_raises() -> None:
    """After the last try without any answer the outcome stays unknown, which is an error and no refusal."""
    bench = Bench()
    bench.api.fail("post", NAME, *[Dropped()] * creation.TRIES)

    with pytest.raises(errors.UnreachableError):
        await create(bench)


async def test_a_broken_webhook_becomes_a_refusal() -> None:
    """A 500 that comes back every time is told to the core, so that the attempt is taken back."""
    bench = Bench()
    bench.api.fail("post", NAME, *[refused(500, "InternalError", "webhook failed")] * creation.TRIES)

    made = await create(bench)

    assert (made.outcome, made.code, made.message) == (Outcome.REFUSED, 500, "webhook failed")


@pytest.mark.parametrize("code", [400, 403, 404, 422])
async def test_a_definite_no_is_not_repeated(code: int) -> None:
    """What the API server refuses is refused after one request."""
    bench = Bench()
    bench.api.fail("post", NAME, refused(code))

    made = await create(bench)

    assert (Outcome.REFUSED, code) == (made.outcome, made.code)
    assert bench.api.log == [("post", PATH)]


async def test_colliding_quota_updates_are_repeated() -> None:
    """A 409 Conflict of the quota admission says nothing of the pod."""
    bench = Bench()
    bench.api.fail("post", NAME, refused(409, "Conflict", "resourcequotas modified"))

    assert (await create(bench)).outcome is Outcome.MADE


async def test_nothing_is_sent_for_an_owner_that_is_gone() -> None:
    """The owner is asked before each POST."""
    bench = Bench()

    made = await create(bench, allowed=False)

    assert made.outcome is Outcome.DROPPED
    assert bench.api.log == []


async def test_what_vanished_meanwhile_is_made() -> None:
    """An object that was there at the POST and gone at the look-up leaves the name free: try again."""
    bench = Bench()
    bench.api.fail("post", NAME, refused(409, "AlreadyExists"))

    assert (await create(bench)).outcome is Outcome.MADE
