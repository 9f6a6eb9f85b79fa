"""Bad input ends in a condition with a reason on the object concerned: never in a crash, never in a silent wait."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.cluster import rest
from tests.support import builders
from tests.support.history import condition
from tests.support.operator_process import Operator
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

UNKNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "pool": ({"pool": "nowhere"}, "UnknownPool"),
    "profile": ({"accept": [{"profile": "none-such"}]}, "UnknownProfile"),
    "level": ({"topology": {"required": "continent"}}, "UnknownLevel"),
    "level of a block": ({"topology": {"blocks": [{"pods": 2, "level": "continent"}]}}, "UnknownLevel"),
    "priority class": ({"priorityClassName": "none-such"}, "UnknownPriorityClass"),
}


@pytest.mark.parametrize(("spec", "reason"), UNKNOWN.values(), ids=list(UNKNOWN))
async def test_an_unknown_name_is_said(scene: Scene, spec: dict[str, Any], reason: str) -> None:
    """A job that names what does not exist is not accepted, and the reason says what is unknown."""
    await scene.usual(2)
    await scene.submit(**spec)
    said = await scene.until_condition("Accepted", "False", reason)

    word = next(value for value in ("nowhere", "none-such", "continent") if value in str(spec))
    assert word in said["message"]
    assert scene.pod_events() == []
    await scene.verify()


async def test_a_name_that_appears_later_is_enough(scene: Scene) -> None:
    """A job of an unknown priority class starts by itself when the class is made."""
    await scene.usual(2)
    await scene.submit(priorityClassName=f"{scene.name}-late")
    await scene.until_condition("Accepted", "False", "UnknownPriorityClass")
    await scene.priority("late", 5)
    await scene.until_running()
    await scene.verify()


async def test_a_missing_claim_is_said(scene: Scene) -> None:
    """Pods that kube-scheduler cannot bind for a missing claim cost the attempt, and its own words are kept."""
    await scene.usual(2)
    template = builders.template(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    template["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "no-such-claim"}}]
    await scene.submit(groups=[builders.group(1, 8, template=template)], deadlines={"bindSeconds": 2})
    message = await scene.until_waiting("BindTimeout", seconds=30)

    assert "no-such-claim" in message
    await scene.until(lambda: not scene.pods(), "attempt taken back")
    await scene.verify(quiet=0)


async def test_a_resource_that_nobody_offers(scene: Scene) -> None:
    """A template that asks for a resource that no node has waits with a message that counts, and makes no pod."""
    await scene.usual(2)
    template = builders.template(resources={"limits": {"example.com/fpga": "1"}, "requests": {"example.com/fpga": "1"}})
    await scene.submit(groups=[builders.group(1, 8, template=template)])
    message = await scene.until_waiting("InsufficientCards")

    assert "0 of 1" in message
    assert "example.com/fpga" in message
    assert scene.pod_events() == []
    await scene.verify()


async def test_a_variant_for_none_of_the_profiles(scene: Scene) -> None:
    """A group with variants, none for the chosen profile, that accept does not name, says NoVariant."""
    await scene.usual(2)
    variant = {"profile": "ascend", "image": "train-npu:1"}
    await scene.submit(groups=[builders.group(1, 8, variants=[variant])])
    await scene.until(
        lambda: "NoVariant" in {one["reason"] for one in scene.status().get("conditions", [])}, "NoVariant said"
    )

    assert scene.pod_events() == []
    await scene.verify()


REFUSED: dict[str, dict[str, Any]] = {
    "negative replicas": {"groups": [builders.group(-1, 8)]},
    "nodeName in the template": {
        "groups": [builders.group(1, 8, template={"spec": {**builders.template()["spec"], "nodeName": "n"}})]
    },
    "reserved environment": {
        "groups": [builders.group(1, 8, template=builders.template(env=[{"name": "CARDPOOL_RANK", "value": "9"}]))]
    },
}


@pytest.mark.parametrize("spec", REFUSED.values(), ids=list(REFUSED))
async def test_what_the_api_can_see_it_refuses(scene: Scene, spec: dict[str, Any]) -> None:
    """What the CRD itself can judge is refused at once with the field, and nothing is made."""
    with pytest.raises(rest.ApiError) as refused:
        await scene.submit(**spec)

    assert refused.value.status == 422
    assert "spec.groups" in refused.value.message
    await scene.verify(quiet=0)


async def test_card_resources_in_the_template_are_refused(scene: Scene) -> None:
    """Cards are asked for by cardsPerPod alone; a template that asks for them too never makes a pod."""
    await scene.usual(1)
    template = builders.template(resources={"limits": {"nvidia.com/gpu": "8"}})
    with pytest.raises(rest.ApiError) as refused:
        await scene.submit(groups=[builders.group(1, 8, template=template)])

    assert "resources" in refused.value.message
    assert scene.pod_events() == []
    await scene.verify()


async def test_one_bad_job_does_not_disturb_the_others(scene: Scene, operator: Operator) -> None:
    """Beside a job that cannot be accepted and one that waits, a good one starts, and the operator is well."""
    await scene.usual(2)
    await scene.submit("bad", pool="nowhere")
    await scene.submit("large", pods=9)
    await scene.submit("good", pods=1)
    await scene.until_running("good")

    assert condition(scene.job("bad"), "Accepted")["status"] == "False"
    assert operator.get("/healthz")
    await scene.verify()
