"""Room on request: which running gangs would have to move so that a gang of a shape fits, and what that costs.

Asked of the world at rest before the plan's own placements: what runs now, who waits left aside. Nothing is moved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cardpool import errors
from cardpool.domain.changes import Table
from cardpool.domain.gangs import Gang, GroupShape, Option
from cardpool.domain.inventory import Inventory
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import defrag, occupancy, probe
from cardpool.engine.defrag import Found, Nowhere
from cardpool.engine.future import Future
from cardpool.engine.ground import Ground
from cardpool.lifecycle import membership, moving, stock
from cardpool.planning.answer import Move, Room
from cardpool.planning.patience import Rest

_SHAPE: Final = re.compile(
    r"^(?P<pods>[1-9]\d{0,5})x(?P<cards>\d{1,5})(@(?P<profile>[a-z0-9][-.a-z0-9]*))?(/(?P<level>.+))?$"
)
_JOB: Final = re.compile(r"^[a-z0-9][-a-z0-9]*/[a-z][-a-z0-9]*$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, as it was written: a shape (``pods`` > 0), or a job that waits."""

    text: str
    pods: int = 0
    cards: int = 0
    profile: str = ""
    level: str = ""


def parse(text: str) -> Wanted:
    """``PODSxCARDS[@PROFILE][/LEVEL]`` or ``namespace/name``; InputError where it is neither."""
    found = _SHAPE.match(text)
    if found is not None:
        return Wanted(text, int(found["pods"]), int(found["cards"]), found["profile"] or "", found["level"] or "")
    if _JOB.match(text):
        return Wanted(text)
    raise errors.InputError(
        f"--make-room {text}: give PODSxCARDS[@PROFILE][/LEVEL], such as 16x8@k100/supernode, or a job's namespace/name"
    )


def answer(wanted: Wanted, rest: Rest) -> tuple[Room, tuple[Move, ...]]:
    """Whether room can be made, with the moves of the cheapest way; InputError for an unknown profile, level or job."""
    best: tuple[int, int, str, str, Found] | None = None
    reasons = []
    for pool, gang, option in _asked(wanted, rest):
        found = _search(pool, gang, option, rest)
        if isinstance(found, Nowhere):
            reasons.append(f"pool {pool}, profile {option.profile}: {found.message}")
        elif best is None or (found.lost, len(found.moves)) < best[:2]:
            best = found.lost, len(found.moves), pool, option.profile, found
    if best is None:
        return Room(wanted.text, possible=False, message="; ".join(reasons)), ()
    lost, number, pool, profile, way = best
    words = f"{number} gangs would restart elsewhere" if number else "it fits as things are"
    nodes = way.asked.nodes()
    return Room(wanted.text, True, words, pool, profile, nodes, number, lost), tuple(_moves(wanted.text, pool, way))


def _asked(wanted: Wanted, rest: Rest) -> Iterator[tuple[str, Gang, Option]]:
    """What the planner would be asked, for each pool and profile that may serve."""
    if not wanted.pods:
        draft = rest.study.drafts.get(wanted.text)
        if draft is None or draft.gang is None:
            raise errors.InputError(f"--make-room {wanted.text}: no TrainingJob of this name waits for a place")
        for option in draft.gang.options:
            yield draft.spec.pool, draft.gang, option
        return
    asked = 0
    for name, pool in sorted(rest.world.pools.items()):
        if pool.spec is None or name not in rest.study.totals:
            continue
        for profile in pool.spec.profiles:
            levels = membership.tree_of(pool.spec, profile.name).names()
            if wanted.profile in ("", profile.name) and (not wanted.level or wanted.level in levels):
                asked += 1
                yield name, *_gang(wanted, profile.name)
    if not asked:
        what = f"profile {wanted.profile or 'at all'}" + (f" with a level {wanted.level}" if wanted.level else "")
        raise errors.InputError(f"--make-room {wanted.text}: no pool has a {what}")


def _gang(wanted: Wanted, profile: str) -> tuple[Gang, Option]:
    option = Option(profile, (GroupShape("worker", wanted.pods, wanted.cards),))
    topology = TopologyRequest(required=wanted.level)
    return Gang(wanted.text, wanted.text, 0, 0.0, (option,), topology), option


def _search(pool: str, gang: Gang, option: Option, rest: Rest) -> Found | Nowhere:
    inventory, running = _inventory(pool, rest), rest.study.running.get(pool, ())
    ground = Ground(inventory, inventory.profiles.index(option.profile))
    if not probe.sound(ground, gang, option):
        return Nowhere("its blocks do not divide it")
    tracked = bool(gang.topology.exclusive) or any(one.exclusive for one in running)
    rooms = occupancy.rooms(ground, running)
    for room in rooms if tracked else ():
        occupancy.occupy(ground, room)
    late, present = Future(ground, tracked=tracked), Future(ground, tracked=tracked)
    late.settle([room for room in rooms if room.gang.leaving])
    staying = [room for room in rooms if not room.gang.leaving]
    drafts = [rest.study.drafts.get(room.gang.key) for room in staying]
    wishes = [moving.wish(draft) if draft is not None else None for draft in drafts]
    return defrag.search(late, gang, option, defrag.movers(staying, wishes, rest.world.now), present=present)


def _inventory(pool: str, rest: Rest) -> Inventory:
    spec = rest.world.pools[pool].spec
    if spec is None:
        raise errors.InputError(f"CardPool {pool} does not parse")
    return stock.inventory({}, pool, spec, rest.study.rows.get(pool, Table({})))


def _moves(by: str, pool: str, way: Found) -> Iterator[Move]:
    for mover, placement in way.moves:
        namespace, _, name = mover.key.rpartition("/")
        before = tuple(mover.gang.previous[rank] for rank in sorted(mover.gang.previous))
        saved, held = mover.room.gang.checkpoint > 0, mover.room.cards
        yield Move(namespace, name, by, pool, held, before, placement.nodes(), mover.lost, saved)
