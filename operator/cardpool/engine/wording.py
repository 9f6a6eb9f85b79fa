"""The words of refusals, for each situation in which a gang waits; what counts is put in by whoever has counted.

A message is never longer than a condition can show; what was found first stands at its end, behind what came on top.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cardpool.domain.gangs import Gang, Option, Refusal, Running
from cardpool.engine import demand
from cardpool.names import Reason

MESSAGE_MAX: Final = 900
LINE_MAX: Final = 1024
_NAMED: Final = 8


def without_options(gang: Gang) -> Refusal:
    """No profile that the job accepts is open to it yet."""
    return Refusal(gang.key, Reason.UNKNOWN_PROFILE, "no accepted profile is open to this job now")


def unknown_profile(gang: Gang, option: Option, profiles: Sequence[str]) -> Refusal:
    """The pool has no such profile."""
    known = ", ".join(profiles) or "none"
    message = cut(f"unknown profile {option.profile!r}; the pool has {known}")
    return Refusal(gang.key, Reason.UNKNOWN_PROFILE, message, want=want(option))


def faulty(gang: Gang, option: Option, fault: demand.Fault) -> Refusal:
    """The demand itself is wrong."""
    return Refusal(gang.key, fault.reason, cut(f"profile {option.profile}: {fault.message}"), want=want(option))


def behind(gang: Gang, head: Gang) -> Refusal:
    """The gang may not pass a head that waits."""
    return Refusal(
        gang.key,
        Reason.RESERVED_FOR_OTHER,
        cut(f"behind {head.key}, which waits at the head of a strict queue"),
        want=gang.size(),
    )


def behind_quota(gang: Gang, first: Gang) -> Refusal:
    """The gang may not take the quota that another of its team waits for."""
    message = cut(f"behind {first.key}, for which the quota of team {first.team} is kept")
    return Refusal(gang.key, Reason.RESERVED_FOR_OTHER, message, want=gang.size())


def kept_for(refusal: Refusal, first: Gang, start: float | None) -> Refusal:
    """The gang would fit into room that another is to have."""
    when = f" from {moment(start)} on" if start is not None else ""
    message = cut(f"would fit, but the room is kept for {first.key}{when}; {refusal.message}")
    return dataclasses.replace(refusal, reason=Reason.RESERVED_FOR_OTHER, message=message)


def preempting(refusal: Refusal, going: Sequence[Running]) -> Refusal:
    """The gang has its place as soon as others are gone."""
    names = ", ".join(sorted(gang.key for gang in going)[:_NAMED])
    cards = sum(gang.cards() for gang in going)
    more = f" and {len(going) - _NAMED} more" if len(going) > _NAMED else ""
    message = cut(f"waits until {len(going)} gangs with {cards} cards are gone: {names}{more}; {refusal.message}")
    return dataclasses.replace(refusal, reason=Reason.WAITING_FOR_PREEMPTION, message=message)


def reserved(refusal: Refusal, nodes: int, start: float | None, waits_for: int, learned: int = 0) -> Refusal:
    """The first in line: what is kept for it, and when it starts as far as anybody can know."""
    if not waits_for:
        when = f"{nodes} nodes are kept for it; those that hold them are going"
    elif start is None:
        when = f"{nodes} nodes are kept for it until {waits_for} gangs on them, not all with a known end, are gone"
    else:
        when = f"{nodes} nodes are kept for it from {moment(start)} on, when {waits_for} gangs should have ended"
        when += f" ({learned} of them by earlier runs)" if learned else ""
    return dataclasses.replace(refusal, message=cut(f"first in line: {when}; {refusal.message}"))


def moment(epoch: float) -> str:
    """A time as messages show it."""
    return datetime.fromtimestamp(int(epoch), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def combined(refusals: Sequence[Refusal]) -> Refusal:
    """One answer for all options: the first option's reason, the largest fit, every message.

    Quota is the reason only where it stands in the way of every option.
    """
    first = next((refusal for refusal in refusals if refusal.reason is not Reason.QUOTA_EXCEEDED), refusals[0])
    if len(refusals) == 1:
        return first
    best = max(refusals, key=lambda refusal: refusal.fit)
    message = cut("; ".join(refusal.message for refusal in refusals))
    return Refusal(first.gang, first.reason, message, best.fit, best.want or first.want, best.excluded)


def mixed(refusal: Refusal, way: str, more: str, pods: int) -> Refusal:
    """Why a gang of so many pods is not mixed either; ``way`` is the spread that the refusal is about."""
    return dataclasses.replace(refusal, message=cut(f"mixed ({way}): {refusal.message}{more}"), want=pods)


def at_least(refusal: Refusal, least: Option, full: Option) -> Refusal:
    """What stands in the way of an elastic gang even at its least size."""
    message = cut(f"not even the least size of {want(least)} of {want(full)} pods: {refusal.message}")
    return dataclasses.replace(refusal, message=message)


def line(refusal: Refusal, total: int, *more: str) -> str:
    """Everything in one line: what stands in the way, what would free it (``more``), its place among ``total``."""
    tail = "".join(f"; {one}" for one in more if one)
    tail += f"; position {refusal.position} of {total} in the queue" if refusal.position else ""
    room = LINE_MAX - len(tail)
    body = refusal.message if len(refusal.message) <= room else f"{refusal.message[: room - 1]}…"
    return body + tail


def want(option: Option) -> int:
    """The pods that the option asks for."""
    return sum(shape.replicas for shape in option.groups)


def cut(message: str) -> str:
    """The message, no longer than a condition can show."""
    return message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"
