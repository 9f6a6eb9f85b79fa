"""Kubernetes quantities as exact integers, and a pod's effective requests as kube-scheduler counts them.

Every amount in the core is a canonical integer: cpu in millicores, everything else in whole units or bytes, each
rounded up, so that a sum of canonical requests is never below what the scheduler will count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

CPU: Final = "cpu"

_SUFFIXES: Final[Mapping[str, Fraction]] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
_QUANTITY: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII)


@lru_cache(maxsize=65_536)
def parse(text: str | float) -> Fraction:
    """Return the exact value of a quantity such as ``1500m``, ``2Gi`` or ``1e3``; ValueError where it is none."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    sign, number, exponent, suffix = match.groups()
    factor = Fraction(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""]
    value = Fraction(number.removesuffix(".")) * factor
    return -value if sign == "-" else value


@lru_cache(maxsize=65_536)
def canonical(resource: str, text: str | float) -> int:
    """Return the canonical integer: millicores for cpu, units or bytes for the rest, rounded up; ValueError if bad."""
    value = parse(text) * 1000 if resource == CPU else parse(text)
    return -(-value.numerator // value.denominator)


def amounts(quantities: Mapping[str, Any] | None) -> dict[str, int]:
    """Return a resource list in canonical integers; ValueError names the resource whose quantity is bad."""
    result = {}
    for resource, text in (quantities or {}).items():
        try:
            result[resource] = canonical(resource, text)
        except ValueError as error:
            raise ValueError(f"{resource}: {error}") from error
    return result


def effective(
    containers: Iterable[Mapping[str, int]],
    inits: Iterable[tuple[Mapping[str, int], bool]] = (),
    overhead: Mapping[str, int] | None = None,
    pod_level: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Return what a pod counts for: max(containers + sidecars, each init step) + overhead, zeros left out.

    ``inits`` come in order with True for a sidecar (an init container that restarts): it runs beside every later step.
    ``pod_level`` amounts (spec.resources) replace the sum of the containers for their resources.
    """
    total: dict[str, int] = {}
    for requests in containers:
        _add(total, requests)
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for requests, sidecar in inits:
        if sidecar:
            _add(sidecars, requests)
            _raise_to(peak, sidecars)
        else:
            step = dict(sidecars)
            _add(step, requests)
            _raise_to(peak, step)
    _add(total, sidecars)
    _raise_to(total, peak)
    total.update(pod_level or {})
    _add(total, overhead or {})
    return {resource: amount for resource, amount in total.items() if amount}


def pod_requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return the effective requests of a pod spec in JSON form; a limit without request counts as the request."""
    return effective(
        [_container(container) for container in spec.get("containers") or ()],
        [(_container(item), item.get("restartPolicy") == "Always") for item in spec.get("initContainers") or ()],
        amounts(spec.get("overhead")),
        _container(spec),
    )


def _container(container: Mapping[str, Any]) -> dict[str, int]:
    resources = container.get("resources") or {}
    return amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def _raise_to(total: dict[str, int], floor: Mapping[str, int]) -> None:
    for resource, amount in floor.items():
        if amount > total.get(resource, 0):
            total[resource] = amount
