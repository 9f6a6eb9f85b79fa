"""Real kubelets, containers, names and cards."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import cards, lifecycle, real_layout, real_marks, rest
from e2e.cluster.settings import Settings
from tests.support import realpods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from e2e.cluster.context import Context
    from tests.support.kubeclient import Kube

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]
DCU = "hygon.com/dcu"
HOLD = "import time\ntime.sleep(3600)"
# Serves its own name until the other side was asked and has asked.
MEET = """
import socket, socketserver, threading, time
own, peer = socket.gethostname(), PEER
asked = threading.Event()
class Tell(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(own.encode())
        asked.set()
threading.Thread(target=socketserver.TCPServer(("", 5000), Tell).serve_forever, daemon=True).start()
deadline = time.monotonic() + 40
while True:
    try:
        heard = socket.create_connection((peer, 5000), timeout=2).recv(100).decode()
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.1)
assert asked.wait(40)
open("/dev/termination-log", "w").write(heard)
"""
ASK_API = """
import ssl, urllib.request
home = "/var/run/secrets/kubernetes.io/serviceaccount/"
trust = ssl.create_default_context(cafile=home + "ca.crt")
request = urllib.request.Request("https://kubernetes.default.svc/api", headers={"Authorization": "Bearer " + open(home + "token").read()})
open("/dev/termination-log", "w").write(str(urllib.request.urlopen(request, context=trust, timeout=20).status))
"""


@pytest.fixture
async def sound_cards(real_cluster: Context, kube: Kube) -> AsyncIterator[None]:
    """All cards of the first node are healthy before the test and after it."""
    node = real_layout.node("real-0")

    async def sound() -> bool:
        return await realpods.counts(kube, node.name, node.resource) == (node.cards, node.cards)

    async def heal() -> None:
        for card in cards.names(node):
            cards.set_health(real_cluster.state, node, card, cards.Health.HEALTHY)
        cards.start(real_cluster, node)
        await rest.wait_for(sound, 60, "all cards of real-0 healthy")

    await heal()
    yield
    await heal()


async def test_pods_on_two_nodes_find_each_other_by_name(kube: Kube, namespace: str) -> None:
    """Each pod of a headless Service opens a connection to the other by its host name, across nodes."""
    await kube.create(realpods.headless("gang", namespace))
    for name, node, peer in (("one", "real-0", "two"), ("two", "real-2", "one")):
        script = MEET.replace("PEER", repr(f"{peer}.gang.{namespace}.svc.cluster.local"))
        await kube.create(realpods.pod(name, namespace, node=node, script=script, subdomain="gang"))

    heard = [await realpods.answer(kube, name, namespace) for name in ("one", "two")]

    assert heard == ["two", "one"]


async def test_a_pod_reaches_the_api_server_as_its_service_account(kube: Kube, namespace: str) -> None:
    """The Service `kubernetes` leads a restricted pod to the API server, which accepts its token."""
    await kube.create(realpods.pod("asks", namespace, node="real-1", script=ASK_API))

    assert await realpods.answer(kube, "asks", namespace) == "200"


@pytest.mark.parametrize(
    ("node", "resource", "variable"),
    [("real-0", DCU, "HYGON_VISIBLE_DEVICES"), ("real-2", "huawei.com/Ascend910", "ASCEND_VISIBLE_DEVICES")],
    ids=["hygon", "ascend"],
)
async def test_a_pod_is_told_which_cards_it_got(
    kube: Kube, namespace: str, node: str, resource: str, variable: str
) -> None:
    """Two pods of four cards each get all eight cards of the node between them."""
    script = f"import os\n{realpods.ANSWER}(os.environ['{variable}'])\nimport time\ntime.sleep(2)"
    for name in ("one", "two"):
        await kube.create(realpods.pod(name, namespace, node=node, script=script, cards={resource: 4}))

    given = [(await realpods.answer(kube, name, namespace)).split(",") for name in ("one", "two")]

    assert [len(one) for one in given] == [4, 4]
    assert set(given[0]) | set(given[1]) <= {f"card-{index}" for index in range(8)}


@pytest.mark.usefixtures("sound_cards")
async def test_a_broken_card_shows_in_the_pod_and_in_the_node(
    real_cluster: Context, kube: Kube, namespace: str
) -> None:
    """An unhealthy card is named in the status of the pod that holds it, lowers allocatable alone, and can heal."""
    node = real_layout.node("real-0")
    await kube.create(realpods.pod("holds", namespace, node=node.name, script=HOLD, cards={DCU: 4}))
    await kube.until_phase("holds", namespace, "Running", 60)
    held = await rest.wait_for(lambda: realpods.cards_of(kube, "holds", namespace), 30, "cards in the pod's status")
    assert set(held.values()) == {"Healthy"}
    broken = min(held)

    async def shows(word: str, allocatable: int) -> bool:
        seen = await realpods.cards_of(kube, "holds", namespace)
        return seen == held | {broken: word} and await realpods.counts(kube, node.name, DCU) == (8, allocatable)

    cards.set_health(real_cluster.state, node, broken, cards.Health.UNHEALTHY)
    await rest.wait_for(lambda: shows("Unhealthy", 7), 30, f"{broken} Unhealthy, and 7 of 8 allocatable")
    cards.set_health(real_cluster.state, node, broken, cards.Health.HEALTHY)
    await rest.wait_for(lambda: shows("Healthy", 8), 30, f"{broken} Healthy again")


@pytest.mark.usefixtures("sound_cards")
async def test_a_card_that_is_gone_lowers_capacity_too(real_cluster: Context, kube: Kube) -> None:
    """A card that its plug-in no longer lists is neither capacity nor allocatable."""
    cards.set_health(real_cluster.state, real_layout.node("real-0"), "card-5", cards.Health.GONE)

    async def shrunk() -> bool:
        return await realpods.counts(kube, "real-0", DCU) == (7, 7)

    await rest.wait_for(shrunk, 30, "7 cards of 7")


@pytest.mark.usefixtures("sound_cards")
async def test_a_stopped_plug_in_takes_all_cards_from_the_node(real_cluster: Context, kube: Kube) -> None:
    """Without its plug-in nothing on the node is allocatable; when it is back everything is."""
    node = real_layout.node("real-0")
    cards.stop(real_cluster, node)

    async def allocatable(wanted: int) -> bool:
        return (await realpods.counts(kube, node.name, DCU))[1] == wanted

    await rest.wait_for(lambda: allocatable(0), 30, "no card allocatable")
    cards.start(real_cluster, node)
    await rest.wait_for(lambda: allocatable(8), 30, "8 cards allocatable")


@pytest.mark.usefixtures("sound_cards")
async def test_the_plug_in_registers_again_with_a_restarted_kubelet(
    real_cluster: Context, kube: Kube, namespace: str
) -> None:
    """After a restart of kubelet the same plug-in process serves cards to a new pod."""
    node = real_layout.node("real-0")
    plugin = real_cluster.processes.find("plugin-real-0")
    assert plugin is not None
    real_cluster.processes.stop("kubelet-real-0")
    await asyncio.to_thread(lifecycle.up, real_cluster.name, Settings(profiles=("real",)))

    await realpods.until_in_service(kube, node.name, namespace)
    script = f"import os\n{realpods.ANSWER}(os.environ['HYGON_VISIBLE_DEVICES'])"
    await kube.create(realpods.pod("after", namespace, node=node.name, script=script, cards={DCU: 8}))
    given = await realpods.answer(kube, "after", namespace)

    assert sorted(given.split(",")) == cards.names(node)
    assert real_cluster.processes.find("plugin-real-0") == plugin


async def test_a_second_up_changes_nothing(real_cluster: Context) -> None:
    """Bringing up what is up leaves every program as it runs."""
    before = real_cluster.processes.running()
    await asyncio.to_thread(lifecycle.up, real_cluster.name, Settings(profiles=("real",)))

    assert before == real_cluster.processes.running()
    assert all(one.alive for one in before)
    assert real_marks.contained(real_cluster.state, real_layout.node("real-1")), "the pod that stays still runs"


async def test_the_operators_image_starts_its_command(kube: Kube, namespace: str) -> None:
    """The image has the package, all that it needs and its command, and runs without root on a read-only file system."""
    pod = realpods.pod("version", namespace, node="real-2", image="cardpool/operator:dev")
    pod["spec"]["containers"][0]["command"] = ["/bin/sh", "-c", "cardpool version > /dev/termination-log"]
    await kube.create(pod)

    assert importlib.metadata.version("cardpool") in await realpods.answer(kube, "version", namespace)


async def test_a_node_whose_containerd_was_killed_comes_back(real_cluster: Context, kube: Kube, namespace: str) -> None:
    """Bringing the cluster up again ends what the dead containerd left and starts the node afresh, cards included."""
    node = real_layout.node("real-2")
    await kube.create(realpods.pod("before", namespace, node=node.name, script=HOLD))
    await kube.until_phase("before", namespace, "Running", 60)
    daemon = real_cluster.processes.find("containerd-real-2")
    assert daemon is not None
    os.kill(daemon.pid, signal.SIGKILL)
    await asyncio.to_thread(lifecycle.up, real_cluster.name, Settings(profiles=("real",)))

    await realpods.until_in_service(kube, node.name, namespace)
    script = f"import os\n{realpods.ANSWER}(os.environ['ASCEND_VISIBLE_DEVICES'])"
    await kube.create(realpods.pod("after", namespace, node=node.name, script=script, cards={node.resource: 8}))
    assert sorted((await realpods.answer(kube, "after", namespace)).split(",")) == cards.names(node)
    await kube.until_phase("before", namespace, "Failed", 60)
