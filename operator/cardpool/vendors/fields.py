"""Readers of single fields of a vendor file: each returns an immutable value or says what to write instead."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

Reader = Callable[[object], object]
_T = TypeVar("_T")

_DNS_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN: Final = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_RESOURCE: Final = re.compile(rf"{_DOMAIN}/{_NAME}")
_PATTERN: Final = re.compile(rf"{_DOMAIN}/({_NAME}|[A-Za-z0-9][A-Za-z0-9._-]{{0,61}}\*)")
_LABEL_KEY: Final = re.compile(rf"({_DOMAIN}/)?{_NAME}")
_LABEL_VALUE: Final = re.compile(rf"(|\*|{_NAME})")
_ENV: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PCI: Final = re.compile(r"[0-9a-f]{4}")
_MAX_ITEMS: Final = 64
_MAX_TEXT: Final = 128
_MAX_COUNT: Final = 4_096


class FieldError(ValueError):
    """A field that cannot be read: `where` is the path below the field, `message` what to write instead."""

    def __init__(self, message: str, where: str = "") -> None:
        """Keep the two apart, so that the caller can put its own path in front."""
        super().__init__(message)
        self.message = message
        self.where = where


def snake(key: str) -> str:
    """`cardsPerNode` as `cards_per_node`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", key).lower()


def text(raw: object) -> str:
    """A string of 1 to 128 characters."""
    if not isinstance(raw, str):
        raise FieldError(f"must be a string, not {_shown(raw)}; put it in quotes")
    if not 0 < len(raw) <= _MAX_TEXT:
        raise FieldError(f"must have 1 to {_MAX_TEXT} characters, not {len(raw)}")
    return raw


def dns_label(raw: object) -> str:
    """A maker's own name: a DNS label."""
    return _match(text(raw), _DNS_LABEL, "must be lower-case letters, digits and hyphens, such as nvidia")


def resource_names(raw: object) -> tuple[str, ...]:
    """One or more extended resource names, each once."""
    names = _strings(raw, _RESOURCE, "must be a resource name with its domain, such as nvidia.com/gpu")
    if not names:
        raise FieldError("must list at least one resource name, such as nvidia.com/gpu")
    return names


def resource_patterns(raw: object) -> tuple[str, ...]:
    """Resource names, of which each may end in `*`."""
    return _strings(raw, _PATTERN, "must be a resource name with its domain, at most one * at its end")


def env_names(raw: object) -> tuple[str, ...]:
    """Names of environment variables; one alone need not be a list."""
    return _strings([raw] if isinstance(raw, str) else raw, _ENV, "must be a name of an environment variable")


def pci_vendors(raw: object) -> tuple[str, ...]:
    """PCI vendor ids: four lower-case hexadecimal digits, in quotes."""
    return _strings(raw, _PCI, 'must be four lower-case hexadecimal digits in quotes, such as "10de"')


def labels(raw: object) -> Mapping[str, str]:
    """Label keys and values; YAML's true, on and 8 must be in quotes."""
    if not isinstance(raw, dict):
        raise FieldError(f"must be a mapping of label keys to values, not {_shown(raw)}")
    if len(raw) > _MAX_ITEMS:
        raise FieldError(f"must have at most {_MAX_ITEMS} labels, not {len(raw)}")
    for key, value in raw.items():
        if not isinstance(key, str) or not _LABEL_KEY.fullmatch(key):
            raise FieldError("must be a label key", f".{key}")
        if not isinstance(value, str):
            raise FieldError(f"must be a string, not {_shown(value)}; put it in quotes", f".{key}")
        _match(value, _LABEL_VALUE, "must be a label value of at most 63 characters", f".{key}")
    return types.MappingProxyType(dict(raw))


def flag(raw: object) -> bool:
    """True or false."""
    if not isinstance(raw, bool):
        raise FieldError(f"must be true or false, not {_shown(raw)}")
    return raw


def flag_or_unknown(raw: object) -> bool | None:
    """True, false, or None for the word unknown."""
    if raw == "unknown":
        return None
    if not isinstance(raw, bool):
        raise FieldError(f"must be true, false or unknown, not {_shown(raw)}")
    return raw


def count(raw: object) -> int:
    """A whole number from 1 to 4,096."""
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= _MAX_COUNT:
        raise FieldError(f"must be a whole number from 1 to {_MAX_COUNT}, not {_shown(raw)}")
    return raw


def counts(raw: object) -> tuple[int, ...]:
    """A list of whole numbers from 1 to 4,096."""
    return tuple(_each(raw, count))


def choice(*words: str) -> Reader:
    """A reader that takes these words alone."""

    def read(raw: object) -> str:
        if not isinstance(raw, str) or raw not in words:
            raise FieldError(f"must be {' or '.join(words)}, not {_shown(raw)}")
        return raw

    return read


def table(**readers: Reader) -> Reader:
    """A reader of a mapping with these fields, all optional."""

    def read(raw: object) -> Mapping[str, object]:
        if not isinstance(raw, dict):
            raise FieldError(f"must be a mapping with {' and '.join(readers)}, not {_shown(raw)}")
        values: dict[str, object] = {}
        for key, value in raw.items():
            if key not in readers:
                raise FieldError(f"is no known field; known are {', '.join(readers)}", f".{key}")
            try:
                values[key] = readers[key](value)
            except FieldError as error:
                raise FieldError(error.message, f".{key}{error.where}") from error
        return values

    return read


def _strings(raw: object, pattern: re.Pattern[str], wanted: str) -> tuple[str, ...]:
    names = tuple(_each(raw, lambda item: _match(text(item), pattern, wanted)))
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise FieldError(f"lists {doubled} twice; keep one")
    return names


def _each(raw: object, read: Callable[[object], _T]) -> list[_T]:
    if not isinstance(raw, list):
        raise FieldError(f"must be a list, not {_shown(raw)}")
    if len(raw) > _MAX_ITEMS:
        raise FieldError(f"must have at most {_MAX_ITEMS} entries, not {len(raw)}")
    values: list[_T] = []
    for index, item in enumerate(raw):
        try:
            values.append(read(item))
        except FieldError as error:
            raise FieldError(error.message, f"[{index}]{error.where}") from error
    return values


def _match(value: str, pattern: re.Pattern[str], wanted: str, where: str = "") -> str:
    if not pattern.fullmatch(value):
        raise FieldError(f"{wanted}, not {_shown(value)}", where)
    return value


def _shown(raw: object) -> str:
    shown = repr(raw)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
