"""Free cards are brought together: whether gangs move in this cycle, for a gang that waits or for those who may come.

All moves of a cycle are for one purpose. Moves for a gang promise it the place that they make; those made ahead are
only asked for when nobody waits for room, and keep nothing for anybody. A look that found none is told, so that the
next cycles leave that gang alone for a while.
"""

from __future__ import annotations

from cardpool.domain.gangs import Gang, Option, Refusal
from cardpool.domain.teams import Moving
from cardpool.engine import moves, probe
from cardpool.engine.cycle import Cycle
from cardpool.engine.outlook import Outlook


class Shifter:
    """Lets gangs move in this cycle, where the pool's policy says so."""

    __slots__ = ("cycle",)

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle

    def make_room(self, gang: Gang, refusal: Refusal) -> Refusal | None:
        """Let others move for the gang where the pool's policy allows it and it helps, or wait for those that move."""
        cycle, moving = self.cycle, self.cycle.rules.moving
        if moving is None or refusal.reason not in moves.SCATTERED:
            return None
        for option in gang.options:
            view = cycle.outlooks.get(option.profile)
            if view is None or view.kept is not None or not probe.sound(view.ground, gang, option):
                continue
            if cycle.stopped(gang, option) is not None or not moves.scattered(view, option):
                continue
            found: moves.Moves | None = ()
            if not moves.coming(view, gang, option):
                since = (gang.queued or gang.created) + moving.after if moving.after else cycle.now
                found = self._moves(view, gang, option, moving, since)
            placement = moves.shift(view, found, gang, option) if found is not None else None
            if found is None or placement is None:
                continue
            cycle.moves += moves.told(found, gang.key, gang.key)
            going = [room.gang for room in view.rooms() if room.gang.preempted or room.gang.uid in view.gone]
            return cycle.promise(gang, option, placement, going, refusal)
        return None

    def room_ahead(self) -> None:
        """Nobody waits for room: bring free cards together for those who may come, where the pool's policy says so."""
        cycle, moving = self.cycle, self.cycle.rules.moving
        for gang in moving.ahead if moving is not None else ():
            option = gang.options[0]
            if moving is None or option.profile not in cycle.inventory.profiles:
                continue
            view = cycle.outlook(option.profile)
            fits = (
                probe.Prober(moves.ahead(view), gang, option).fits() if probe.sound(view.ground, gang, option) else True
            )
            if fits or not moves.scattered(view, option):
                continue
            found = self._moves(view, gang, option, moving, cycle.now)
            if found is not None and moves.shift(view, found, None, option) is not None:
                cycle.moves += moves.told(found, "", gang.key)

    def _moves(self, view: Outlook, gang: Gang, option: Option, moving: Moving, since: float) -> moves.Moves | None:
        """The moves for a gang, from some moment on; None where there are none, or none now."""
        cycle = self.cycle
        left = moving.left - len(cycle.moves)
        if cycle.now < since or left <= 0:
            cycle.again(since if cycle.now < since else moving.due)
            return None
        if gang.key in moving.vain or cycle.vain or cycle.moves:
            cycle.again(cycle.now + (moves.VAIN if gang.key in moving.vain else 1.0))
            return None
        found = moves.find(view, gang, option, moving, left, cycle.rules.min_runtime)
        if found is None:
            cycle.vain.append(gang.key)
            cycle.again(cycle.now + moves.VAIN)
        return found
