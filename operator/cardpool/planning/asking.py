"""From places to look at to a plan, with the time that each half took.

Reading and planning are the only two steps; flags of what-if change the world between them. The clock is read here
for the figures alone: what is planned depends on ``now``, which is an argument.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from cardpool import errors
from cardpool.domain.world import PriorityClassRecord, World
from cardpool.lifecycle import cardpool, lacking, membership, teams
from cardpool.names import Kind, Reason
from cardpool.planning import adoption, comeback, documents, inputs, makeroom, patience, whatif
from cardpool.planning.answer import Plan
from cardpool.planning.inputs import Inputs
from cardpool.vendors import registry as makers
from cardpool.vendors.registry import Registry

Listed = Iterable[tuple[Kind, msgspec.Raw]]


@dataclass(frozen=True, slots=True)
class Question:
    """What to plan, and what if: files and folders, objects of a cluster (None: no cluster); room for what is asked.

    ``now`` is in epoch seconds.
    """

    now: float
    places: Sequence[str] = ()
    listed: Listed | None = None
    add_nodes: Sequence[str] = ()
    lose: Sequence[str] = ()
    jobs: Sequence[str] = ()
    make_room: Sequence[str] = ()

    @property
    def supposes(self) -> bool:
        """Whether anything is asked of another world than the one that is read."""
        return bool(self.add_nodes or self.lose or self.jobs)


@dataclass(frozen=True, slots=True)
class Reply:
    """The plan; ``before`` is that of the world as it was read, where another one was asked about."""

    plan: Plan
    before: Plan | None
    first: tuple[str, ...]
    notes: tuple[str, ...]
    load: float
    planned: float


def ask(question: Question) -> Reply:
    """Read everything and plan; InputError where something handed in cannot be used."""
    with _no_collector():
        return _ask(question)


def studied(question: Question) -> patience.Rest:
    """The world at rest that a plan of it is made in, for who asks more than the plan tells."""
    with _no_collector():
        reader = _read(question)
        found = reader.result()
        registry = makers.merge(makers.load_builtin(), found.vendors)
        return patience.come_to_rest(_world(found, registry, question.now, live=question.listed is not None), registry)


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """A million cards are millions of objects that all stay: looking for garbage among them doubles the time.

    Nor is it looked for once at the end: all that is there then counts as old.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _ask(question: Question) -> Reply:
    begun = time.perf_counter()
    reader = _read(question)
    known = reader.jobs()
    first = tuple(dict.fromkeys(key for place in question.jobs for key in _jobs_of(reader, place)))
    found = reader.result()
    registry = makers.merge(makers.load_builtin(), found.vendors)
    live = question.listed is not None
    world = _world(found, registry, question.now, live=live)
    loaded = time.perf_counter()
    notes = list(found.notes)
    if not live:
        notes += [f"PriorityClass {name} is not in the input and counts as there" for name in _lacking(found)]
    wanted = [makeroom.parse(text) for text in question.make_room]
    plan = _plan(_supposed(world, registry, question), registry, notes, wanted)
    planned = time.perf_counter()
    before = None
    if question.supposes:
        before = _plan(_world(replace(found, jobs=known), registry, question.now, live=live), registry, [])
    return Reply(_foremost(plan, first), before, first, tuple(notes), loaded - begun, planned - loaded)


def _read(question: Question) -> inputs.Reader:
    """Everything that there is: what the cluster lists, then the files."""
    reader = inputs.Reader(question.now)
    for kind, raw in question.listed or ():
        reader.listed(kind, raw)
    for document in documents.read(question.places):
        reader.take(document)
    return reader


def _jobs_of(reader: inputs.Reader, place: str) -> list[str]:
    """The keys of the jobs in a file, which stand for those of the same name that were read before."""
    keys = []
    for document in documents.read([place]):
        key = reader.take(document, instead=True)
        if document.kind == Kind.JOB:
            keys.append(key)
    if not keys:
        raise errors.InputError(f"--job {place}: there is no TrainingJob in it")
    return keys


def _world(found: Inputs, registry: Registry, now: float, *, live: bool) -> World:
    """The records as one world; manifests alone need not bring the pods' PriorityClass."""
    own = replace(found, jobs=dict(found.jobs), pods=dict(found.pods))
    adoption.adopt(own, registry, now)
    priorities = dict(own.priority_classes)
    for name in () if live else _lacking(own):
        priorities[name] = PriorityClassRecord(name, 0, "Never")
    world = World(
        now=now,
        nodes=own.nodes,
        pods=own.pods,
        jobs=own.jobs,
        pools=own.pools,
        supernodes=own.supernodes,
        priority_classes=priorities,
        namespaces=own.namespaces,
    )
    return patience.indexed(world)


def _lacking(found: Inputs) -> list[str]:
    """PriorityClasses that a pool's pods need and the input does not have."""
    wanted = {pool.spec.pod_priority_class_name for pool in found.pools.values() if pool.spec is not None}
    return sorted(wanted - found.priority_classes.keys())


def _supposed(world: World, registry: Registry, question: Question) -> World:
    if question.add_nodes or question.lose:
        place = membership.assign(world, registry, membership.Seating())
        for request in question.add_nodes:
            world = whatif.add_nodes(world, place, request)
        for name in question.lose:
            world = whatif.lose(world, place, name)
    return world


def _plan(world: World, registry: Registry, notes: list[str], wanted: Sequence[makeroom.Wanted] = ()) -> Plan:
    plan, rest = comeback.plan(world, registry)
    notes += _troubles(rest, registry)
    found = [makeroom.answer(one, rest) for one in wanted]
    rooms, moves = tuple(room for room, _ in found), tuple(move for _, moves in found for move in moves)
    return replace(plan, rooms=rooms, moves=(*plan.moves, *moves))


def _troubles(rest: patience.Rest, registry: Registry) -> list[str]:
    """What is wrong with pools and supernodes, as the operator would put it into their conditions."""
    conflicts, world = rest.study.place.conflicts, rest.world
    notes, unlabelled = [], lacking.found(world.pools, rest.study.place)
    for name, pool in sorted(world.pools.items()):
        claims = teams.of_namespaces(pool.spec, world.namespaces, world.namespaces)[1] if pool.spec is not None else []
        trouble = cardpool.degradation(pool, registry, conflicts.get(name, []), [], claims, unlabelled.get(name, []))
        if trouble is not None:
            notes.append(f"CardPool {name}: {trouble[0]}: {trouble[1]}")
        if name in rest.study.totals and not rest.study.place.by_pool.get(name):
            notes.append(f"CardPool {name}: {Reason.NO_NODES}: spec.selector selects no node")
    for name in sorted(conflicts.keys() & world.supernodes.keys()):
        node, other = conflicts[name][0]
        text = f"{len(conflicts[name])} nodes are claimed by another Supernode too, for example {node} by {other}"
        notes.append(f"Supernode {name}: {Reason.NODE_CONFLICT}: {text}")
    return notes


def _foremost(plan: Plan, first: Sequence[str]) -> Plan:
    """The plan with these jobs in front."""
    if not first:
        return plan
    rank = {key: number for number, key in enumerate(first)}
    return replace(plan, jobs=tuple(sorted(plan.jobs, key=lambda job: rank.get(job.key, len(rank)))))
