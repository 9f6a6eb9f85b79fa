"""Who is judged in this cycle: those of whom something moved, or whose time has come; everybody else rests.

What those at rest add to the cycle (what they hold, whom the planner is asked for, how many there are) is kept with
them, so a cycle costs what changed. The roll is whole only between cycles that came to their end: after one that broke
off, or for another installation, everybody is judged.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import is_

from cardpool.domain import changes
from cardpool.domain.gangs import Gang, Refusal, Running
from cardpool.domain.world import JobRecord, PodRecord, World
from cardpool.lifecycle.draft import Draft, PoolView
from cardpool.lifecycle.resting import Rest
from cardpool.lifecycle.sums import Sums

Law = tuple[object, ...]


@dataclass(slots=True)
class Roll:
    """All jobs by key: ``rests`` and those that are ``up``; what was last seen of the world, by identity.

    ``order`` has all keys sorted, ``keys`` those of UIDs. ``alarms`` are when those at rest want to be judged again.
    ``told`` is what each job holds, with its pool; ``said`` what the planner last said of those that wait.
    """

    whole: bool = False
    blank: bool = True
    rules: tuple[object, ...] = ()
    jobs: Mapping[str, JobRecord] = field(default_factory=dict)
    pods: Mapping[str, tuple[PodRecord, ...]] = field(default_factory=dict)
    laws: dict[str, Law] = field(default_factory=dict)
    views: dict[str, PoolView] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    rests: dict[str, Rest] = field(default_factory=dict)
    up: set[str] = field(default_factory=set)
    alarms: dict[str, float] = field(default_factory=dict)
    gangs: dict[str, Gang] = field(default_factory=dict)
    changing: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    said: dict[str, tuple[Refusal, int]] = field(default_factory=dict)
    told: dict[str, tuple[str, tuple[Running, ...]]] = field(default_factory=dict)
    growing: set[str] = field(default_factory=set)
    running: dict[str, list[Running]] | None = None
    cards: Sums = field(default_factory=Sums)
    census: Sums = field(default_factory=Sums)

    def begin(self, world: World, *rules: object) -> Roll:
        """Take in which jobs came, went and changed; gives the roll to go on with, blank where this is not whole."""
        old = self.whole and self.rules == rules
        roll = self if old else Roll(rules=rules)
        roll.whole, roll.blank = False, not old
        roll.gone = set()
        for key in changes.between(roll.jobs, world.jobs):
            roll.enter(key, roll.jobs.get(key), world.jobs.get(key))
        roll.jobs = world.jobs
        return roll

    def enter(self, key: str, old: JobRecord | None, new: JobRecord | None) -> None:
        """A job came, went or changed."""
        self.wake(key)
        self.census.put(key, _counted(new) if new is not None else {})
        if old is not None and (new is None or new.uid != old.uid):
            self.gone.add(old.uid)
            del self.keys[old.uid]
            self.tell(key, "", (), {})
        if new is None:
            self.up.discard(key)
            self.order.remove(key)
            return
        self.keys[new.uid] = key
        self.up.add(key)
        if old is None:
            bisect.insort(self.order, key)

    def rouse(self, world: World, views: Mapping[str, PoolView], hit: Iterable[str]) -> list[str]:
        """Wake all whose judgement may be another by now; gives who is up, in order. ``hit`` are nodes in doubt."""
        for uid in changes.between(self.pods, world.pods_by_owner):
            self._wake_uid(uid)
        self.pods = world.pods_by_owner
        for uid in (*world.busy, *world.refused):
            self._wake_uid(uid)
        for key in world.first:
            self.wake(key)
        for node in hit:
            for pod in world.pods_by_node.get(node, ()):
                self._wake_uid(pod.owner)
        if self.alarms and world.now >= min(self.alarms.values()):
            for key in [key for key, due in self.alarms.items() if world.now >= due]:
                self.wake(key)
        for name in self.views.keys() | views.keys():
            self._judge_law(name, views.get(name), world)
        self.views = dict(views)
        return sorted(self.up)

    def _judge_law(self, name: str, view: PoolView | None, world: World) -> None:
        old, before = self.laws.get(name, ()), self.views.get(name)
        law: Law = (view.spec, world.priority_classes, view.usable, view.blocked) if view is not None else ()
        self.laws[name] = law
        same = len(old) == len(law) and all(map(is_, old[:2], law[:2])) and old[2:] == law[2:]
        if view is not None and before is not None and same:
            if before.teams is view.teams and before.runtimes is view.runtimes:
                return
            same = True
        for key in [key for key, rest in self.rests.items() if rest.draft.spec.pool == name]:
            if view is None or not same or not self.rests[key].agrees(view):
                self.wake(key)

    def _wake_uid(self, uid: str) -> None:
        key = self.keys.get(uid)
        if key is not None:
            self.wake(key)

    def wake(self, key: str) -> None:
        """The job is judged, or goes on as one that was."""
        if self.rests.pop(key, None) is not None:
            self.up.add(key)
            for kept in (self.alarms, self.gangs, self.said):
                kept.pop(key, None)
            self.changing.discard(key)
            self.moved.discard(key)

    def lie(self, key: str, rest: Rest, said: tuple[Refusal, int] | None) -> None:
        """The job rests from now on, with what the planner last said of it."""
        self.rests[key] = rest
        self.up.discard(key)
        self.alarm(key, rest.draft.wake)
        if rest.draft.gang is not None:
            self.gangs[key] = rest.draft.gang
        if said is not None:
            self.said[key] = said
        if rest.changing:
            self.changing.add(key)
        if rest.moved:
            self.moved.add(key)

    def alarm(self, key: str, moment: float | None) -> None:
        """When a job at rest wants to be judged again."""
        if moment is not None:
            self.alarms[key] = moment
        else:
            self.alarms.pop(key, None)

    def tell(self, key: str, pool: str, found: tuple[Running, ...], cards: Mapping[tuple[str, str], int]) -> None:
        """The job holds this; ``cards`` by profile and team."""
        old = self.told.get(key)
        if old is not None and old[0] == pool and old[1] == found:
            return
        self.running = None
        self.growing.discard(key)
        if not found:
            self.told.pop(key, None)
        else:
            self.told[key] = pool, found
            if any(one.elastic is not None and one.elastic.grows is not None for one in found):
                self.growing.add(key)
        self.cards.put(key, {(pool, profile, team): number for (profile, team), number in cards.items()})

    def holders(self) -> dict[str, list[Running]]:
        """By pool what every job holds, in the order of their keys; the very lists of before where nothing changed."""
        if self.running is None:
            self.running = {}
            for key in self.order:
                if key in self.told:
                    pool, found = self.told[key]
                    self.running.setdefault(pool, []).extend(found)
        return self.running

    def counted(self, kind: str) -> Iterator[tuple[str, str, int]]:
        """The labels of one kind, with how many jobs are counted there."""
        return ((one[1], one[2], number) for one, number in self.census.totals.items() if one[0] == kind)

    def resting(self, keys: Iterable[str]) -> Iterator[Draft]:
        """The drafts of these, as they were judged."""
        return (self.rests[key].draft for key in keys)


def _counted(job: JobRecord) -> dict[tuple[str, str, str], int]:
    """Where the job is counted: its namespace, its phase by pool, and whether it waits or runs there."""
    pool = job.spec.pool if job.spec is not None else ""
    phase = job.status.phase.value if job.status.phase is not None else "New"
    found = {("space", job.namespace, ""): 1, ("phase", phase, pool): 1}
    if job.spec is not None and job.status.completion_time is None and not job.spec.suspend:
        found["queued" if job.status.placement is None else "running", pool, ""] = 1
    return found
