"""In-node fabrics against the real API: the pods' statuses say which cards are gone, the profile what that means."""

from __future__ import annotations

import pytest

from tests.support import builders
from tests.support.history import status_of
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

NVIDIA = builders.RESOURCES["nvidia"]


def healthy(*cards: int) -> dict[str, str]:
    """These cards by their ids."""
    return {f"card-{number}": "Healthy" for number in cards}


async def test_six_and_two_are_no_room_for_eight(scene: Scene) -> None:
    """A foreign pod leaves 6 + 2 cards of two fabrics: 6 start there, 8 wait for the pod's end and start by themselves."""
    (node,) = await scene.add_nodes(1, cards=16)
    await scene.kube.create(builders.foreign_pod("other", scene.name, node, cards=8))
    await scene.seen("Pod", "other", scene.name, lambda body: status_of(body).get("phase") == "Running", "running")
    await scene.kube.report_cards("other", scene.name, NVIDIA, healthy(0, 1, *range(8, 14)))
    await scene.add_pool(profiles=[{"name": "nvidia", "vendor": "nvidia", "fabricCards": 8}])
    await scene.submit("eight", pods=1, cards=8)
    message = await scene.until_waiting("InsufficientCards", name="eight")

    assert "1 with enough cards free, but split across fabrics of 8" in message
    await scene.submit("six", pods=1, cards=6)
    await scene.until_running("six")
    await scene.kube.delete("Pod", "other", scene.name, grace=0)
    await scene.kube.report_cards(scene.pods("six")[0]["metadata"]["name"], scene.name, NVIDIA, healthy(*range(2, 8)))
    await scene.until_running("eight")
    await scene.verify()
