"""What must hold of every planning cycle, checked without any code of the planner; and a search that tries everything."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from cardpool.domain.gangs import Gang, GroupShape, Option, Placement, PlanResult, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.topology import TopologyRequest


def violations(inventory: Inventory, gangs: Sequence[Gang], result: PlanResult) -> list[str]:
    """Every broken promise of a cycle, in words; empty where all is well."""
    found: list[str] = []
    answered = Counter([p.gang for p in result.placements] + [r.gang for r in result.refusals])
    if answered != Counter(gang.key for gang in gangs):
        found.append(f"answers {dict(answered)}")
    by_key = {gang.key: gang for gang in gangs}
    used: Counter[tuple[str, str]] = Counter()
    for placement in result.placements:
        gang = by_key[placement.gang]
        asked = next(option for option in gang.options if option.profile == placement.profile)
        option = sized(asked, placement)
        found += _bounds(gang, asked, option)
        found += _broken(inventory, gang, option, placement)
        for shape, node in zip(shapes(option), placement.nodes(), strict=False):
            used[node, "cards"] += shape.cards_per_pod
            used[node, "pods"] += 1
            for resource, amount in shape.requests.items():
                used[node, resource] += amount
    for (node, resource), amount in used.items():
        column = inventory.resources.index(resource)
        if amount > inventory.free[inventory.index[node], column]:
            found.append(f"{node} has too little {resource}")
    return found


def sized(option: Option, placement: Placement) -> Option:
    """The option with as many pods as were placed."""
    pods = Counter[str]()
    for part in placement.segments:
        pods[part.group] += len(part.nodes)
    return dataclasses.replace(
        option, groups=tuple(dataclasses.replace(one, replicas=pods[one.name]) for one in option.groups)
    )


def _bounds(gang: Gang, asked: Option, option: Option) -> Iterator[str]:
    """A size that the gang cannot have."""
    total = sum(one.replicas for one in option.groups)
    for block in gang.topology.blocks:
        if total % block.pods:
            yield f"{gang.key}: a block of {block.pods} does not divide {total} pods"
    for wanted, got in zip(asked.groups, option.groups, strict=True):
        fewest = min(wanted.min_replicas or wanted.replicas, wanted.replicas)
        if not fewest <= got.replicas <= wanted.replicas:
            yield f"{gang.key}: {got.replicas} pods of {wanted.name}, not {fewest} to {wanted.replicas}"
        if any(got.replicas % block.pods for block in wanted.topology.blocks):
            yield f"{gang.key}: {got.replicas} pods of {wanted.name} are no whole blocks"


def shapes(option: Option) -> list[GroupShape]:
    """The shape of each rank."""
    return [shape for shape in option.groups for _ in range(shape.replicas)]


def bonds(gang: Gang, option: Option) -> Iterator[tuple[str, range]]:
    """Each demand to be together: a level and the ranks that must share a domain of it."""
    scopes: list[tuple[TopologyRequest, range]] = [(gang.topology, range(len(shapes(option))))]
    start = 0
    for shape in option.groups:
        scopes.append((shape.topology, range(start, start + shape.replicas)))
        start += shape.replicas
    for request, ranks in scopes:
        if request.required:
            yield request.required, ranks
        for block in request.blocks:
            for at in range(ranks.start, ranks.stop, block.pods):
                yield block.level, range(at, at + block.pods)


def path(inventory: Inventory, profile: str, node: str, level: str) -> tuple[str, ...] | None:
    """The domain of a node, read from its labels alone; None where a label is missing."""
    tree = inventory.trees[inventory.profiles.index(profile)]
    labels = inventory.labels[inventory.index[node]]
    if level == "node":
        return (node,)
    values = []
    for known in tree.levels:
        values.append(labels.get(known.label, ""))
        if known.name == level:
            break
    return None if "" in values else tuple(values)


def _broken(inventory: Inventory, gang: Gang, option: Option, placement: Placement) -> list[str]:
    found = []
    nodes = placement.nodes()
    if len(nodes) != len(shapes(option)):
        found.append(f"{gang.key}: {len(nodes)} of {len(shapes(option))} pods have a node")
    position = 0
    expected = [(shape.name, index) for shape in option.groups for index in range(shape.replicas)]
    for segment in placement.segments:
        if (segment.group, segment.from_index) != expected[position]:
            found.append(f"{gang.key}: segment {segment.group}/{segment.from_index} out of order")
        position += len(segment.nodes)
    for level, ranks in bonds(gang, option):
        homes = {path(inventory, placement.profile, nodes[rank], level) for rank in ranks}
        if len(homes) != 1 or None in homes:
            found.append(
                f"{gang.key}: ranks {ranks.start}-{ranks.stop - 1} straddle {level}: {sorted(map(str, homes))}"
            )
    for shape, node in zip(shapes(option), nodes, strict=False):
        if not admits(inventory, shape, node):
            found.append(f"{gang.key}: {node} does not admit {shape.name}")
    for node in set(nodes):
        row = inventory.index[node]
        if inventory.cause[row] or node in gang.excluded or (inventory.spare[row] and not gang.repair):
            found.append(f"{gang.key}: {node} is closed")
    return found


def exists(
    inventory: Inventory, gang: Gang, nodes: Sequence[str] | None = None, running: Sequence[Running] = ()
) -> bool:
    """True where some assignment of ranks to (these) nodes keeps all demands, found by trying every one."""
    option = gang.options[0]
    closed, alone = entered(inventory, gang, running), gang.topology.exclusive
    names = [
        name
        for row, name in enumerate(inventory.names)
        if not inventory.cause[row] and name not in gang.excluded and (gang.repair or not inventory.spare[row])
    ]
    names = [name for name in names if nodes is None or name in nodes]
    names = [
        name
        for name in names
        if not any(path(inventory, option.profile, name, level) in held for level, held in closed.items())
        and not (alone and path(inventory, option.profile, name, alone) is None)
    ]
    open_ = {(shape.name, name) for shape in option.groups for name in names if admits(inventory, shape, name)}
    ranks = shapes(option)
    tied: list[list[tuple[str, range]]] = [[] for _ in ranks]
    for level, members in bonds(gang, option):
        for rank in members:
            tied[rank].append((level, members))
    left = {
        name: dict(zip(inventory.resources, inventory.free[inventory.index[name]].tolist(), strict=True))
        for name in names
    }
    chosen: list[str] = []
    dead: set[tuple[object, ...]] = set()

    def fits(rank: int, name: str) -> bool:
        needs = need(ranks[rank])
        if (ranks[rank].name, name) not in open_:
            return False
        if any(left[name].get(resource, 0) < amount for resource, amount in needs.items()):
            return False
        for level, members in tied[rank]:
            home = path(inventory, option.profile, name, level)
            if home is None or any(
                path(inventory, option.profile, chosen[other], level) != home for other in members if other < rank
            ):
                return False
        return True

    def search() -> bool:
        rank = len(chosen)
        if rank == len(ranks):
            return True
        mates = tuple(chosen[members.start] for _, members in tied[rank] if members.start < rank)
        state = (rank, mates, tuple(tuple(left[name].values()) for name in names))
        if state in dead:
            return False
        for name in names:
            if fits(rank, name):
                _hold(left[name], need(ranks[rank]), 1)
                chosen.append(name)
                if search():
                    return True
                chosen.pop()
                _hold(left[name], need(ranks[rank]), -1)
        dead.add(state)
        return False

    return search()


def admits(inventory: Inventory, shape: GroupShape, node: str) -> bool:
    """True where labels and taints of a node let a pod of the shape in; affinity terms are not read."""
    row = inventory.index[node]
    if any(inventory.labels[row].get(key) != value for key, value in shape.nodes.selector):
        return False
    held = [
        taint
        for taint in inventory.taint_sets[int(inventory.tainted[row])]
        if taint.effect in {"NoSchedule", "NoExecute"}
    ]
    return all(
        any(
            one.key in {taint.key, ""} and one.effect in {taint.effect, ""} and one.value in {taint.value, ""}
            for one in shape.tolerations
        )
        for taint in held
    )


def entered(inventory: Inventory, gang: Gang, running: Sequence[Running]) -> dict[str, set[tuple[str, ...] | None]]:
    """Domains by level that the gang may not enter: those that others have alone, or where others are if it is to be."""
    closed: dict[str, set[tuple[str, ...] | None]] = {}
    for one in running:
        for level in {one.exclusive, gang.topology.exclusive} - {""}:
            for node, _, _ in one.pods:
                closed.setdefault(level, set()).add(path(inventory, one.profile, node, level))
    return closed


def need(shape: GroupShape) -> dict[str, int]:
    """What one pod takes."""
    return {"cards": shape.cards_per_pod, "pods": 1, **shape.requests}


def fewest(inventory: Inventory, gang: Gang, level: str) -> int:
    """The least number of domains of a level over which any assignment spreads (0: none exists)."""
    homes: dict[tuple[str, ...] | None, list[str]] = {}
    for name in inventory.names:
        homes.setdefault(path(inventory, gang.options[0].profile, name, level), []).append(name)
    for size in range(1, len(homes) + 1):
        for some in itertools.combinations(homes.values(), size):
            if exists(inventory, gang, [name for names in some for name in names]):
                return size
    return 0


def _hold(left: dict[str, int], needs: Mapping[str, int], sign: int) -> None:
    for resource, amount in needs.items():
        left[resource] -= sign * amount
