"""Addresses, names and configuration of real nodes, without starting any."""

from __future__ import annotations

import ipaddress
import itertools
import json
from pathlib import Path

import pytest

from e2e.cluster import real_config, real_layout

NETWORKS = [real_layout.Network(slot) for slot in range(real_layout.SLOTS)]
STATE = Path("/somewhere/cluster/one")


def test_no_two_clusters_share_an_address() -> None:
    """The networks of all slots are disjoint."""
    whole = [ipaddress.ip_network(network.whole) for network in NETWORKS]

    assert not any(one.overlaps(other) for one, other in itertools.combinations(whole, 2))


@pytest.mark.parametrize("network", [NETWORKS[0], NETWORKS[-1]], ids=["first", "last"])
def test_all_addresses_of_a_cluster_lie_in_its_network(network: real_layout.Network) -> None:
    """Nodes, DNS and pods are inside, no two pod subnets overlap, and no node has a pod's address."""
    whole = ipaddress.ip_network(network.whole)
    pods = [ipaddress.ip_network(network.pods(node)) for node in real_layout.NODES]
    single = [ipaddress.ip_address(network.node(node)) for node in real_layout.NODES]
    single += [ipaddress.ip_address(network.api), ipaddress.ip_address(network.dns)]

    assert len(set(single)) == len(real_layout.NODES) + 2
    assert all(address in whole for address in single)
    assert all(subnet.subnet_of(whole) for subnet in pods)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(pods, 2))
    assert not any(address in subnet for address in single for subnet in pods)


def test_nodes_of_different_clusters_have_different_cgroups() -> None:
    """A cgroup's name tells cluster and node apart."""
    others = (STATE, STATE.with_name("two"))
    names = {node.cgroup(state) for state in others for node in real_layout.NODES}

    assert len(names) == 2 * len(real_layout.NODES)


def test_an_interface_name_fits_into_the_kernels_fifteen_characters() -> None:
    """Each slot's link can be made."""
    assert max(len(network.link) for network in NETWORKS) <= 15


def test_at_least_two_makers_and_two_nodes_of_one_maker() -> None:
    """A gang can move between nodes of one maker, and a second maker is there to be mixed up with."""
    resources = [node.resource for node in real_layout.NODES]

    assert len(set(resources)) >= 2
    assert max(map(resources.count, resources)) >= 2


def test_kubelet_listens_on_its_own_address_and_in_its_own_cgroup(tmp_path: Path) -> None:
    """Two kubelets of one network namespace never meet."""
    network = NETWORKS[3]
    texts = [
        real_config.kubelet(network, node, node.cgroup(STATE), tmp_path / "ca.crt", tmp_path / "resolv.conf")
        for node in real_layout.NODES
    ]
    configs = [json.loads(text) for text in texts]

    assert [one["address"] for one in configs] == [network.node(node) for node in real_layout.NODES]
    assert len({one["cgroupRoot"] for one in configs}) == len(real_layout.NODES)
    assert all(one["clusterDNS"] == [network.dns] for one in configs)


def test_a_file_with_the_same_text_is_not_touched(tmp_path: Path) -> None:
    """kube-proxy ends itself at every write to its configuration."""
    target = tmp_path / "config"
    real_config.write(target, "a")
    before = target.stat().st_mtime_ns, target.stat().st_ino
    real_config.write(target, "a")

    assert before == (target.stat().st_mtime_ns, target.stat().st_ino)
    assert real_config.write(target, "b") == target.read_text() == "b"
