"""Quantities and effective requests."""

from __future__ import annotations

from fractions import Fraction

import pytest

from cardpool.domain import quantity

EXACT = {
    "plain": ("8", Fraction(8)),
    "integer": (8, Fraction(8)),
    "float": (0.5, Fraction(1, 2)),
    "fraction": ("1.5", Fraction(3, 2)),
    "leading dot": (".5", Fraction(1, 2)),
    "trailing dot": ("5.", Fraction(5)),
    "signed": ("+3", Fraction(3)),
    "negative": ("-2k", Fraction(-2000)),
    "milli": ("100m", Fraction(1, 10)),
    "micro": ("3u", Fraction(3, 10**6)),
    "nano": ("250000000n", Fraction(1, 4)),
    "kilo": ("1k", Fraction(1000)),
    "kibi": ("1Ki", Fraction(1024)),
    "mega": ("2M", Fraction(2 * 10**6)),
    "gibi": ("1.5Gi", Fraction(3 * 2**29)),
    "tebi": ("1Ti", Fraction(2**40)),
    "pebi": ("1Pi", Fraction(2**50)),
    "exbi": ("1Ei", Fraction(2**60)),
    "exa": ("1E", Fraction(10**18)),
    "exponent": ("1e3", Fraction(1000)),
    "big exponent": ("1E3", Fraction(1000)),
    "negative exponent": ("5e-1", Fraction(1, 2)),
    "fraction and exponent": ("1.25e2", Fraction(125)),
    "many digits": ("12345678901234567890", Fraction(12345678901234567890)),
}


@pytest.mark.parametrize(("text", "value"), EXACT.values(), ids=EXACT.keys())
def test_parse(text: str, value: Fraction) -> None:
    """Every form of a quantity has its exact value."""
    assert value == quantity.parse(text)


@pytest.mark.parametrize(
    "text", ["", "Gi", "1 Gi", "1Gi ", "1KI", "1ki", "1K", "1mi", "1e", "1e3Gi", "--1", "0x10", "1,5", "٣"]
)
def test_parse_refuses(text: str) -> None:
    """What is no quantity is refused, with the text in the message."""
    with pytest.raises(ValueError, match="quantity"):
        quantity.parse(text)


CANONICAL = {
    "cpu whole": ("cpu", "2", 2000),
    "cpu milli": ("cpu", "1500m", 1500),
    "cpu rounds up": ("cpu", "100.1m", 101),
    "cpu nano rounds up": ("cpu", "1n", 1),
    "memory": ("memory", "1.5Gi", 1610612736),
    "memory milli rounds up": ("memory", "1500m", 2),
    "storage": ("ephemeral-storage", "10G", 10**10),
    "cards": ("example.com/card", "8", 8),
    "zero": ("cpu", "0", 0),
}


@pytest.mark.parametrize(("resource", "text", "value"), CANONICAL.values(), ids=CANONICAL.keys())
def test_canonical(resource: str, text: str, value: int) -> None:
    """Cpu counts in millicores, the rest in units, always rounded up."""
    assert value == quantity.canonical(resource, text)


def test_amounts_name_the_resource() -> None:
    """A bad quantity in a list is reported with its resource."""
    with pytest.raises(ValueError, match="memory: 'lots' is not a quantity"):
        quantity.amounts({"cpu": "1", "memory": "lots"})


def _container(cpu: str = "", *, limit: str = "", always: bool = False, **more: str) -> dict[str, object]:
    requests = {**({"cpu": cpu} if cpu else {}), **more}
    resources = {"requests": requests, "limits": {"cpu": limit} if limit else {}}
    return {"resources": resources, **({"restartPolicy": "Always"} if always else {})}


REQUESTS = {
    "sum of containers": ({"containers": [_container("1"), _container("500m")]}, {"cpu": 1500}),
    "no resources": ({"containers": [{"name": "main"}]}, {}),
    "null resources": ({"containers": [{"resources": None}], "initContainers": None}, {}),
    "limit counts as request": ({"containers": [_container(limit="2")]}, {"cpu": 2000}),
    "request beats limit": ({"containers": [_container("1", limit="2")]}, {"cpu": 1000}),
    "zero is left out": ({"containers": [_container("0")]}, {}),
    "cards": (
        {"containers": [{"resources": {"limits": {"example.com/card": "8"}}}]},
        {"example.com/card": 8},
    ),
    "larger init": ({"containers": [_container("1")], "initContainers": [_container("4")]}, {"cpu": 4000}),
    "smaller init": ({"containers": [_container("2")], "initContainers": [_container("1")]}, {"cpu": 2000}),
    "inits do not add up": (
        {"containers": [_container("1")], "initContainers": [_container("3"), _container("2")]},
        {"cpu": 3000},
    ),
    "per resource": (
        {"containers": [_container("1", memory="1Gi")], "initContainers": [_container("2")]},
        {"cpu": 2000, "memory": 2**30},
    ),
    "sidecar runs beside": (
        {"containers": [_container("1")], "initContainers": [_container("1", always=True)]},
        {"cpu": 2000},
    ),
    "init after sidecar": (
        {"containers": [_container("1")], "initContainers": [_container("1", always=True), _container("4")]},
        {"cpu": 5000},
    ),
    "init before sidecar": (
        {"containers": [_container("1")], "initContainers": [_container("4"), _container("1", always=True)]},
        {"cpu": 4000},
    ),
    "overhead on top": (
        {"containers": [_container("1")], "initContainers": [_container("2")], "overhead": {"cpu": "250m"}},
        {"cpu": 2250},
    ),
    "pod level wins": (
        {"containers": [_container("1")], "resources": {"requests": {"cpu": "3"}}},
        {"cpu": 3000},
    ),
}


@pytest.mark.parametrize(("spec", "expected"), REQUESTS.values(), ids=REQUESTS.keys())
def test_pod_requests(spec: dict[str, object], expected: dict[str, int]) -> None:
    """A template asks for what kube-scheduler will count."""
    assert expected == quantity.pod_requests(spec)
