"""YAML that differs in values alone is read once: later texts of the same form are turned into JSON by a template.

A dump of nodes is the same few forms again and again, and a YAML parser reads each letter of it. Here only lines whose
value is one plain or quoted scalar are looked at; a form is trusted when every line of it is such a line, and it is
the YAML parser that says what it means, once, with marks for the values, each of which must come out whole. Everything
else is left to the parser: ``Templates.json`` returns None. So a template saves time and never reads anything else than
the parser would.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_LONGEST: Final = 1 << 20
_FORMS: Final = 512
_WORDS: Final = 65_536
_WORD: Final = rb"""[!"$-9;-~]+"""  # printable without # and :
_PLAIN: Final = rb"(?:[A-Za-z0-9_./+(]|-(?=[0-9.]))" + _WORD[:-1] + rb"*(?:[ :]" + _WORD + rb")*"
_QUOTED: Final = rb""""[ !#-\[\]-~]*"|'[ -&(-~]*'"""
_VALUE: Final = re.compile(rb"(?m) (?<=[:-] )(" + _PLAIN + rb"|" + _QUOTED + rb")$")  # a letter first is found fast
_EMPTY: Final = rb"\{\}|\[\]"
_LINE: Final = (
    rb" *(?:- )*(?:[A-Za-z0-9_][A-Za-z0-9_./-]*:(?: (?:\x00|" + _EMPTY + rb"))?|(?<=- )(?:\x00|" + _EMPTY + rb"))"
)
_FORM: Final = re.compile(rb"(?:---\n)?(?:" + _LINE + rb"\n)*(?:" + _LINE + rb")?\n*")
_MARK: Final = "cardpool-value-%06d-mark"
_MARKED: Final = re.compile(rb'"cardpool-value-([0-9]{6})-mark"')


@dataclass(frozen=True, slots=True)
class Template:
    """JSON with gaps: ``pieces[i]`` stands before the value number ``order[i]``, the last piece at the end."""

    pieces: tuple[bytes, ...]
    order: tuple[int, ...]

    def fill(self, values: list[bytes]) -> bytes:
        """The JSON with these values."""
        parts = [b""] * (2 * len(self.order) + 1)
        parts[::2] = self.pieces
        parts[1::2] = [values[at] for at in self.order]
        return b"".join(parts)


class Templates:
    """The forms met so far; ``parse`` reads one YAML document or raises ValueError, ``resolvers`` are its own."""

    def __init__(self, parse: Callable[[bytes], Any], resolvers: dict[str, list[tuple[str, re.Pattern[str]]]]) -> None:
        self._parse = parse
        self._forms: dict[bytes, Template | None] = {}
        self._words: dict[bytes, bytes] = {}
        self._typed = {first.encode(): [rule for _, rule in rules] for first, rules in resolvers.items() if first}

    def json(self, text: bytes) -> bytes | None:
        """One document as JSON, or None where only the parser can tell."""
        if len(text) > _LONGEST or not text.isascii() or b"\x00" in text:
            return None
        parts = _VALUE.split(text)
        form = b" \x00".join(parts[::2])
        if form in self._forms:
            template = self._forms[form]
        elif len(self._forms) < _FORMS:
            template = self._forms[form] = self._template(form, len(parts) // 2)
        else:
            return None
        if template is None:
            return None
        try:
            return template.fill([self._word(value) for value in parts[1::2]])
        except (TypeError, ValueError, OverflowError):
            return None

    def _template(self, form: bytes, values: int) -> Template | None:
        if _FORM.fullmatch(form) is None or b"cardpool-value-" in form or values > 999_999:
            return None
        pieces = form.split(b"\x00")
        marked = [part for number, piece in enumerate(pieces) for part in (piece, (_MARK % number).encode())]
        try:
            made = msgspec.json.encode(self._parse(b"".join(marked[:-1])))
        except (
            TypeError,
            ValueError,
            OverflowError,
        ):  # what the parser has against the form it says of the text itself
            return None
        found = _MARKED.split(made)
        if sorted(int(number) for number in found[1::2]) != list(range(values)):
            return None  # a value went on in the next line, or a key came twice
        return Template(tuple(found[::2]), tuple(int(number) for number in found[1::2]))

    def _word(self, value: bytes) -> bytes:
        """One scalar as JSON."""
        if value in self._words:
            return self._words[value]
        first = value[:1]
        if first in b"\"'":
            made = _text(value[1:-1])
        elif any(rule.match(value.decode()) for rule in self._typed.get(first, ())):
            made = msgspec.json.encode(self._parse(b"word: " + value)["word"])
        else:
            made = _text(value)
        if len(self._words) < _WORDS:
            self._words[value] = made
        return made


def _text(inner: bytes) -> bytes:
    if b'"' in inner or b"\\" in inner:
        return msgspec.json.encode(inner.decode())
    return b'"' + inner + b'"'
