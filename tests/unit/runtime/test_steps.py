"""One object's step: the order of its stages and what drops the rest."""

from __future__ import annotations

import json

import pytest

from cardpool import errors
from cardpool.lifecycle import actions
from cardpool.names import Kind, Reason
from cardpool.runtime.steps import End
from tests.unit.runtime import scripted
from tests.unit.runtime.scripted import JOB, JOB_PATH, PODS, SERVICES, UID, Bench, Lost, owned, refused

STATUS = {"attempt": 0, "phase": "Starting"}
EVENT = actions.Event(Reason.PLACED, "placed")


def stored_pod(bench: Bench, name: str, attempt: int = 0) -> actions.DeletePod:
    """A pod that exists and is to be deleted."""
    bench.api.put_object(f"{PODS}/{name}", owned("Pod", name, attempt=attempt))
    return actions.DeletePod("team", name, f"uid-{name}")


async def test_stages_run_in_order() -> None:
    """Status goes before deletions, those before prerequisites, those before pods."""
    bench = Bench()
    old = stored_pod(bench, "old")

    result = await bench.steps.perform(
        bench.step(
            status=STATUS,
            deletions=(old,),
            prerequisites=(scripted.service(),),
            pods=(scripted.pod("a"), scripted.pod("b")),
            events=(EVENT,),
        )
    )

    assert (result.end, result.wrote, result.refused) == (End.DONE, True, None)
    expected = [
        ("put", f"{JOB_PATH}/status"),
        ("delete", f"{PODS}/old"),
        ("post", f"{SERVICES}/llm"),
        ("post", f"{PODS}/a"),
        ("post", f"{PODS}/b"),
    ]
    assert expected == bench.api.writes()
    assert bench.events.said == ["Placed"]


async def test_answers_are_visible_at_once() -> None:
    """Status and pods are in the mirror before any watch shows them."""
    bench = Bench()

    await bench.steps.perform(bench.step(status=STATUS, pods=(scripted.pod("a"),)))

    assert bench.mirror.get(Kind.JOB, JOB).status.phase == "Starting"
    assert bench.mirror.get(Kind.POD, "team/a") is not None


async def test_a_status_carries_its_preconditions() -> None:
    """The whole stanza is put with UID and resourceVersion, and without a spec."""
    bench = Bench()
    step = bench.step(status=STATUS)

    await bench.steps.perform(step)

    body = bench.api.bodies[0]
    metadata = {"name": "llm", "namespace": "team", "uid": UID, "resourceVersion": step.resource_version}
    expected = {"apiVersion": "cardpool.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata, "status": STATUS}
    assert expected == body


async def test_a_conflict_drops_the_rest_and_learns() -> None:
    """A status decided on old knowledge writes nothing more, says nothing, and the mirror gets the live object."""
    bench = Bench()
    step = bench.step(status=STATUS, pods=(scripted.pod(),), events=(EVENT,))
    there = json.loads(json.dumps(bench.api.objects[JOB_PATH]))
    bench.api.put_object(JOB_PATH, {**there, "status": {"attempt": 0, "phase": "Suspended"}})

    result = await bench.steps.perform(step)

    assert (result.end, result.wrote) == (End.STALE, False)
    assert [("put", f"{JOB_PATH}/status")] == bench.api.writes()
    assert bench.events.said == []
    assert bench.mirror.get(Kind.JOB, JOB).status.phase == "Suspended"


async def test_an_unknown_status_drops_the_rest_and_learns() -> None:
    """A status whose answer was lost may be written: the rest waits for a cycle that knows."""
    bench = Bench()
    bench.api.fail("put", "llm", Lost())

    result = await bench.steps.perform(bench.step(status=STATUS, pods=(scripted.pod(),)))

    assert (result.end, result.wrote) == (End.FAILED, False)
    assert bench.mirror.get(Kind.JOB, JOB).status.phase == "Starting"
    assert [("put", f"{JOB_PATH}/status")] == bench.api.writes()


async def test_a_job_that_is_gone_is_forgotten() -> None:
    """404 on the status takes the job out of the mirror."""
    bench = Bench()
    del bench.api.objects[JOB_PATH]

    result = await bench.steps.perform(bench.step(status=STATUS))

    assert result.end is End.STALE
    assert bench.mirror.get(Kind.JOB, JOB) is None


@pytest.mark.parametrize("code", [404, 409])
async def test_a_pod_that_is_gone_or_another_counts_as_deleted(code: int) -> None:
    """404, and 409 for another UID under the name, both mean that the pod which was meant is gone."""
    bench = Bench()
    old = stored_pod(bench, "old")
    bench.mirror.overlay(Kind.POD, json.dumps(bench.api.objects[f"{PODS}/old"]).encode())
    bench.api.fail("delete", "old", refused(code, "Gone"))

    result = await bench.steps.perform(bench.step(deletions=(old,), pods=(scripted.pod(),)))

    assert result.end is End.DONE
    assert bench.mirror.get(Kind.POD, "team/old") is None


async def test_a_failed_deletion_makes_no_pod() -> None:
    """No pod is made while an old one may live."""
    bench = Bench()
    bench.api.fail("delete", "old", refused(500, "InternalError"))

    result = await bench.steps.perform(bench.step(deletions=(stored_pod(bench, "old"),), pods=(scripted.pod(),)))

    assert result.end is End.FAILED
    assert [("delete", f"{PODS}/old")] == bench.api.writes()


async def test_the_first_refusal_stops_the_gang() -> None:
    """Pods after the refused one are not made; the refusal names object, code and attempt."""
    bench = Bench()
    bench.api.fail("post", "b", refused(403, "Forbidden", "exceeded quota"))

    result = await bench.steps.perform(bench.step(pods=tuple(scripted.pod(name) for name in "abcd")))

    assert [("post", f"{PODS}/a"), ("post", f"{PODS}/b")] == bench.api.writes()
    refusal = result.refused
    assert refusal is not None
    assert (
        refusal.job_uid,
        refusal.attempt,
        refusal.object,
        refusal.code,
        refusal.message,
        refusal.at,
        refusal.taken,
    ) == (UID, 0, "Pod/b", 403, "exceeded quota", 1000.0, False)


async def test_a_taken_name_is_said() -> None:
    """A foreign object under the name is a refusal marked as taken."""
    bench = Bench()
    bench.api.put_object(f"{PODS}/a", owned("Pod", "a", owner="other"))

    result = await bench.steps.perform(bench.step(pods=(scripted.pod("a"),)))

    assert result.end is End.REFUSED
    assert result.refused is not None
    assert result.refused.taken


async def test_requests_under_way_are_finished_after_a_refusal() -> None:
    """A neighbour's refusal never cancels a POST, whose outcome would then be unknown."""
    bench = Bench(in_flight=4)
    bench.api.fail("post", "/a", refused(403))

    await bench.steps.perform(bench.step(pods=tuple(scripted.pod(name) for name in "abcdefgh")))

    assert {f"{PODS}/{name}" for name in "bcd"} == {path for path in bench.api.objects if path.startswith(PODS)}


async def test_a_lost_lease_ends_everything() -> None:
    """Once the fence says no, nothing more is sent and the caller hears of it."""
    bench = Bench()
    sent: list[str] = []

    def fence(verb: str, path: str) -> None:
        if len(sent) == 2:
            raise errors.LeaseLostError("gone")
        sent.append(path)

    bench.api.before = fence

    with pytest.raises(errors.LeaseLostError):
        await bench.steps.perform(bench.step(status=STATUS, pods=tuple(scripted.pod(name) for name in "abc")))

    assert [f"{JOB_PATH}/status", f"{PODS}/a"] == sent


async def test_a_job_deleted_half_way_gets_no_more_pods() -> None:
    """The owner is looked at before each POST."""
    bench = Bench()
    bench.api.fail("post", "b", bench.end)

    result = await bench.steps.perform(bench.step(pods=tuple(scripted.pod(name) for name in "abcd")))

    assert result.end is End.STALE
    assert [("post", f"{PODS}/a"), ("post", f"{PODS}/b")] == bench.api.writes()


async def test_pods_of_an_attempt_that_is_over_are_not_made() -> None:
    """A pod labelled with another attempt than the job's is never made."""
    bench = Bench(attempt=3)

    result = await bench.steps.perform(bench.step(pods=(scripted.pod(attempt=2),)))

    assert result.end is End.STALE
    assert bench.api.writes() == []


async def test_an_old_config_map_is_replaced() -> None:
    """A prerequisite of an older attempt is deleted by UID, and made in a later step."""
    bench = Bench(attempt=1)
    path = "/api/v1/namespaces/team/configmaps/llm-hosts"
    bench.api.put_object(path, owned("ConfigMap", "llm-hosts", attempt=0))
    wanted = actions.CreateObject(owned("ConfigMap", "llm-hosts", attempt=1), 1)

    first = await bench.steps.perform(bench.step(prerequisites=(wanted,)))
    second = await bench.steps.perform(bench.step(prerequisites=(wanted,)))

    assert (first.end, second.end) == (End.STALE, End.DONE)
    assert bench.api.objects[path]["metadata"]["labels"]["cardpool.dev/attempt"] == "1"


async def test_an_existing_service_of_ours_is_taken() -> None:
    """Running a step again finds what it made before and goes on."""
    bench = Bench()
    step = bench.step(prerequisites=(scripted.service(),), pods=(scripted.pod("a"),))

    first, second = await bench.steps.perform(step), await bench.steps.perform(step)

    assert (first.end, second.end) == (End.DONE, End.DONE)


async def test_the_object_itself_goes_last() -> None:
    """delete_self removes the job after everything else."""
    bench = Bench()

    result = await bench.steps.perform(bench.step(status=STATUS, delete_self=True))

    assert result.end is End.DONE
    assert [("put", f"{JOB_PATH}/status"), ("delete", JOB_PATH)] == bench.api.writes()
    assert bench.mirror.get(Kind.JOB, JOB) is None
