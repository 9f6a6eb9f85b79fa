"""YAML that differs in values alone is read once: later texts of the same form are turned into JSON by a template.

A dump of nodes is the same few forms again and again, and a YAML parser reads each letter of it. Here only lines whose
value is one plain or quoted scalar are looked at; a form is trusted when every line of it is such a line, and it is
the YAML parser that says what it means, once, with marks for the values, each of which must come out whole. Everything
else is left to the parser: ``Templates.json`` returns None. So a template saves time and never reads anything else than
the parser would.

Of a form that was met, most values are always the same too. ``Shape`` is a form with those filled in: one pattern finds
the few that differ, and the end of the text with them. Where lists as long as they like, such as a node's images, make
a form of nearly every text, the lists are told item by item and the rest of the text has a form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

_LONGEST: Final = 1 << 20
_FORMS: Final = 512
_FEW: Final = 64  # forms; once there are more, lists are looked at apart
_PARTS: Final = 16_384
_SHAPES: Final = 8  # of the forms met last, looked at one after the other
_WORDS: Final = 65_536
_WORD: Final = rb"""[!"$-9;-~]+"""  # printable without # and :
_PLAIN: Final = rb"(?:[A-Za-z0-9_./+($]|--?(?=[A-Za-z0-9.]))" + _WORD[:-1] + rb"*(?:[ :]" + _WORD + rb")*"
_QUOTED: Final = rb""""[ !#-\[\]-~]*"|'[ -&(-~]*'"""
_VALUE: Final = re.compile(rb"(?m) (?<=[:-] )(" + _PLAIN + rb"|" + _QUOTED + rb")$")  # a letter first is found fast
_SCALAR: Final = re.compile(_PLAIN + rb"|" + _QUOTED)
_EMPTY: Final = rb"\{\}|\[\]"
_LINE: Final = (
    rb" *(?:- )*(?:[A-Za-z0-9_][A-Za-z0-9_./-]*:(?: (?:\x00|" + _EMPTY + rb"))?|(?<=- )(?:\x00|" + _EMPTY + rb"))"
)
_FORM: Final = re.compile(rb"(?:---\n)?(?:" + _LINE + rb"\n)*(?:" + _LINE + rb")?\n*")
_SEQUENCE: Final = re.compile(rb"(?m)^( +)([A-Za-z0-9_]+):\n(\1 *- )(.*\n(?:\1(?:- | ).*\n)*)")
_LISTED: Final = b"cardpool-list-%06d"
_MARK: Final = "cardpool-value-%06d-mark"
_MARKED: Final = re.compile(rb'"cardpool-value-([0-9]{6})-mark"')


@dataclass(frozen=True, slots=True)
class Template:
    """JSON with gaps: ``pieces[i]`` stands before the value number ``order[i]``, the last piece at the end."""

    pieces: tuple[bytes, ...]
    order: tuple[int, ...]

    def fill(self, values: Sequence[bytes]) -> bytes:
        """The JSON with these values."""
        parts = [b""] * (2 * len(self.order) + 1)
        parts[::2] = self.pieces
        parts[1::2] = [values[at] for at in self.order]
        return b"".join(parts)

    def narrowed(self, known: Mapping[int, bytes]) -> Template:
        """The same with these values filled in, the others numbered anew in the order of their numbers."""
        number = {at: new for new, at in enumerate(at for at in range(len(self.order)) if at not in known)}
        pieces, order = [self.pieces[0]], []
        for at, piece in zip(self.order, self.pieces[1:], strict=True):
            if at in known:
                pieces[-1] += known[at] + piece
            else:
                order.append(number[at])
                pieces.append(piece)
        return Template(tuple(pieces), tuple(order))


class Shape(NamedTuple):
    """Texts of one form that agree in most values: where the others stand in the text, and in the JSON."""

    pattern: re.Pattern[bytes]
    template: Template


@dataclass(slots=True)
class Form:
    """What is known of a form: its template, which values ever differed, and the shape that came of it."""

    template: Template
    values: list[bytes]
    differ: set[int] = field(default_factory=set)
    met: int = 0
    shape: Shape | None = None


class Templates:
    """The forms met so far; ``parse`` reads one YAML document or raises ValueError, ``resolvers`` are its own."""

    def __init__(self, parse: Callable[[bytes], Any], resolvers: dict[str, list[tuple[str, re.Pattern[str]]]]) -> None:
        self._parse = parse
        self._forms: dict[bytes, Form | None] = {}
        self._words: dict[bytes, bytes] = {}
        self._shapes: list[Shape] = []
        self._parts: dict[bytes, bytes] = {}
        self._inner: Templates | None = None
        self._resolvers = resolvers
        self._typed = {first.encode(): _any_of([rule for _, rule in rules]) for first, rules in resolvers.items()}

    def ahead(self, data: bytes, begin: int, end: int, opening: bytes) -> tuple[bytes, int] | None:
        """The JSON of the text at ``begin`` and where the next one starts, with ``opening`` or at the end.

        None where no shape tells: ``json`` may still.
        """
        for place, shape in enumerate(self._shapes):
            found = shape.pattern.match(data, begin, end)
            if found is None:
                continue
            upto = found.end()
            if upto != end and not data.startswith(opening, upto):
                continue
            try:
                made = shape.template.fill([self._known(value) for value in found.groups()])
            except (TypeError, ValueError, OverflowError):
                continue
            if place:
                self._shapes.insert(0, self._shapes.pop(place))
            return made, upto
        return None

    def json(self, text: bytes) -> bytes | None:
        """One document as JSON, or None where only the parser can tell."""
        if len(text) > _LONGEST or not text.isascii() or b"\x00" in text:
            return None
        return self._told(text, {})

    def _told(self, text: bytes, lists: Mapping[bytes, bytes]) -> bytes | None:
        """A text in which ``lists``, as JSON, stand under these names."""
        parts = _VALUE.split(text)
        pieces, values = parts[::2], parts[1::2]
        name = b" \x00".join(pieces)
        if name not in self._forms and len(self._forms) >= _FEW and not lists and _SEQUENCE.search(text) is not None:
            return self._apart(text)
        if name not in self._forms and len(self._forms) < _FORMS:
            template = self._template(name, len(values))
            self._forms[name] = Form(template, values) if template is not None else None
        form = self._forms.get(name)
        if form is None:
            return None
        try:
            made = form.template.fill([lists.get(value) or self._word(value) for value in values])
        except (TypeError, ValueError, OverflowError):
            return None
        if not lists:
            self._learn(form, pieces, values)
        return made

    def _apart(self, text: bytes) -> bytes | None:
        """The text with its lists taken out and told for themselves; None where one of them is the parser's."""
        if b"cardpool-list-" in text:
            return None
        lists: dict[bytes, bytes] = {}

        def taken(found: re.Match[bytes]) -> bytes:
            name = _LISTED % len(lists)
            lists[name] = self._sequence(found[3], found[3] + found[4])
            return found[1] + found[2] + b": " + name + b"\n"

        try:
            return self._told(_SEQUENCE.sub(taken, text), lists)
        except ValueError:
            return None

    def _sequence(self, mark: bytes, text: bytes) -> bytes:
        """A list whose items start with this mark as JSON; ValueError where only the parser can tell."""
        if self._inner is None:
            self._inner = Templates(self._parse, self._resolvers)
        items, begin = [], 0
        while begin < len(text):
            following = text.find(b"\n" + mark, begin) + 1
            item = text[begin : following or len(text)]
            made = self._parts.get(item)
            if made is None:
                made = self._inner.json(item)
                if made is None or not made.startswith(b"["):
                    raise ValueError
                if len(self._parts) >= _PARTS:
                    self._parts.clear()
                self._parts[item] = made
            items.append(made[1:-1])
            begin = following or len(text)
        return b"[" + b",".join(items) + b"]"

    def _learn(self, form: Form, pieces: list[bytes], values: list[bytes]) -> None:
        """Note which values differ; a shape is made anew whenever twice as many texts have shown it too narrow."""
        form.differ.update(at for at, (one, other) in enumerate(zip(form.values, values, strict=True)) if one != other)
        form.met += 1
        if form.met == 1 or form.met & (form.met - 1) or not pieces[-1].endswith(b"\n"):
            return
        ends = [re.escape(piece) for piece in pieces]
        inner = [b" (.*)" if at in form.differ else re.escape(b" " + value) for at, value in enumerate(values)]
        pattern = re.compile(b"".join(part for pair in zip(ends, inner, strict=False) for part in pair) + ends[-1])
        same = {at: self._word(value) for at, value in enumerate(values) if at not in form.differ}
        found = Shape(pattern, form.template.narrowed(same))
        self._shapes = [found, *(one for one in self._shapes if one is not form.shape)][:_SHAPES]
        form.shape = found

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

    def _known(self, value: bytes) -> bytes:
        """One scalar as JSON; ValueError where it is none that a form could have here."""
        made = self._words.get(value)
        if made is None:
            if _SCALAR.fullmatch(value) is None:
                raise ValueError
            made = self._word(value)
        return made

    def _word(self, value: bytes) -> bytes:
        """One scalar as JSON."""
        made = self._words.get(value)
        if made is not None:
            return made
        first = value[:1]
        if first in b"\"'":
            made = _text(value[1:-1])
        elif (typed := self._typed.get(first)) is not None and typed.match(value.decode()):
            made = msgspec.json.encode(self._parse(b"word: " + value)["word"])
        else:
            made = _text(value)
        if len(self._words) >= _WORDS:
            self._words.clear()
        self._words[value] = made
        return made


def _any_of(rules: Sequence[re.Pattern[str]]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{rule.pattern}\n)" for rule in rules), re.VERBOSE)


def _text(inner: bytes) -> bytes:
    if b'"' in inner or b"\\" in inner:
        return msgspec.json.encode(inner.decode())
    return b'"' + inner + b'"'
