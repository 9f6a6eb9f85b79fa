"""A Zstandard decoder in plain Python (RFC 8878, no dictionaries), for index nodes of some kilobytes to megabytes.

It exists so that proving an Orbax index needs nothing but the standard library; where a Zstandard library is installed
`zstd` prefers that. Malformed data ends in ValueError or IndexError, never in an endless loop or unbounded memory.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Final

_MAX_BLOCK: Final = 1 << 17
_LL_BITS: Final = (*[0] * 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_ML_BITS: Final = (*[0] * 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
_LL_DEFAULT: Final = (4, 3, *[2] * 11, 1, 1, 1, *[2] * 9, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1)
_ML_DEFAULT: Final = (1, 4, 3, *[2] * 6, *[1] * 37, *[-1] * 7)
_OF_DEFAULT: Final = (*[1] * 6, 2, 2, 2, *[1] * 15, *[-1] * 5)
_RAW: Final = 0
_RLE: Final = 1
_COMPRESSED: Final = 2
_REPEAT: Final = 3


def _bases(bits: tuple[int, ...], first: int) -> tuple[int, ...]:
    bases = [first]
    for width in bits[:-1]:
        bases.append(bases[-1] + (1 << width))
    return tuple(bases)


_LL_BASE: Final = _bases(_LL_BITS, 0)
_ML_BASE: Final = _bases(_ML_BITS, 3)


@dataclasses.dataclass(frozen=True, slots=True)
class _Fse:
    """A finite state entropy table: by state, its symbol, how many bits lead on, and from which base."""

    log: int
    symbols: list[int]
    widths: list[int]
    bases: list[int]


@dataclasses.dataclass(slots=True)
class _Frame:
    """What blocks of one frame inherit from those before them."""

    output: bytearray
    limit: int
    huffman: tuple[list[tuple[int, int]], int] | None = None
    tables: dict[str, _Fse] = dataclasses.field(default_factory=dict)
    repeats: list[int] = dataclasses.field(default_factory=lambda: [1, 4, 8])


class _Backwards:
    """A bit stream that is read from its end; bits before its start are zeros."""

    def __init__(self, data: bytes) -> None:
        if not data or not data[-1]:
            raise ValueError("a bit stream has no end mark")
        self._data = data
        self.left = len(data) * 8 - 9 + data[-1].bit_length()

    def peek(self, width: int) -> int:
        start = self.left - width
        if start < 0:
            return self._at(0, max(self.left, 0)) << min(-start, width)
        return self._at(start, width)

    def take(self, width: int) -> int:
        value = self.peek(width)
        self.left -= width
        return value

    def _at(self, start: int, width: int) -> int:
        first = start >> 3
        piece = int.from_bytes(self._data[first : first + 9], "little")
        return piece >> (start & 7) & (1 << width) - 1


def decode_frame(data: bytes, limit: int) -> bytes:
    """The content of the one frame in `data`, at most `limit` bytes; ValueError or IndexError when malformed."""
    descriptor = data[4]
    if descriptor & 3:
        raise ValueError("the frame wants a dictionary")
    single = bool(descriptor & 0x20)
    position = 5 + (0 if single else 1) + ((0, 2, 4, 8)[descriptor >> 6] or int(single))
    frame = _Frame(bytearray(), limit)
    last = False
    while not last:
        if position + 3 > len(data):
            raise ValueError("the frame breaks off")
        header = int.from_bytes(data[position : position + 3], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        position += 3
        if kind == _RLE:
            _append(frame, data[position : position + 1] * size)
            position += 1
            continue
        block = data[position : position + size]
        position += size
        if kind == _RAW:
            _append(frame, block)
        elif kind == _COMPRESSED:
            _block(frame, block)
        else:
            raise ValueError("a reserved block")
    return bytes(frame.output)


def _append(frame: _Frame, piece: bytes | bytearray) -> None:
    if len(frame.output) + len(piece) > frame.limit:
        raise ValueError(f"holds more than {frame.limit} bytes")
    frame.output += piece


def _block(frame: _Frame, block: bytes) -> None:
    literals, position = _literals(frame, block)
    count, position = _sequence_count(block, position)
    if not count:
        _append(frame, literals)
        return
    modes = block[position]
    position += 1
    tables = []
    for name, shift, default, log in (
        ("ll", 6, _LL_DEFAULT, 6),
        ("of", 4, _OF_DEFAULT, 5),
        ("ml", 2, _ML_DEFAULT, 6),
    ):
        table, position = _table(frame, name, modes >> shift & 3, (default, log), block, position)
        frame.tables[name] = table
        tables.append(table)
    _sequences(frame, _Backwards(block[position:]), count, (tables[0], tables[1], tables[2]), literals)


def _sequence_count(block: bytes, position: int) -> tuple[int, int]:
    first = block[position]
    if first < 128:
        return first, position + 1
    if first < 255:
        return (first - 128 << 8) + block[position + 1], position + 2
    return block[position + 1] + (block[position + 2] << 8) + 0x7F00, position + 3


def _table(
    frame: _Frame, name: str, mode: int, default: tuple[tuple[int, ...], int], block: bytes, position: int
) -> tuple[_Fse, int]:
    if mode == _RAW:
        return _build(list(default[0]), default[1]), position
    if mode == _RLE:
        return _Fse(0, [block[position]], [0], [0]), position + 1
    if mode == _REPEAT:
        if name not in frame.tables:
            raise ValueError("a table is repeated before it was given")
        return frame.tables[name], position
    counts, log, used = _counts(block[position:])
    return _build(counts, log), position + used


def _sequences(
    frame: _Frame, stream: _Backwards, count: int, tables: tuple[_Fse, _Fse, _Fse], literals: bytes | bytearray
) -> None:
    lengths, offsets, matches = tables
    ll, of, ml = stream.take(lengths.log), stream.take(offsets.log), stream.take(matches.log)
    position = 0
    for index in range(count):
        code = offsets.symbols[of]
        if code > 31:
            raise ValueError("an offset is too large")
        value = (1 << code) + stream.take(code)
        code = matches.symbols[ml]
        match = _ML_BASE[code] + stream.take(_ML_BITS[code])
        code = lengths.symbols[ll]
        plain = _LL_BASE[code] + stream.take(_LL_BITS[code])
        if stream.left < 0 or position + plain > len(literals):
            raise ValueError("a sequence runs past its block")
        _append(frame, literals[position : position + plain])
        position += plain
        _copy(frame, _offset(frame.repeats, value, plain), match)
        if index + 1 < count:
            ll = lengths.bases[ll] + stream.take(lengths.widths[ll])
            ml = matches.bases[ml] + stream.take(matches.widths[ml])
            of = offsets.bases[of] + stream.take(offsets.widths[of])
    _append(frame, literals[position:])


def _offset(repeats: list[int], value: int, plain: int) -> int:
    if value > 3:
        repeats[:] = [value - 3, repeats[0], repeats[1]]
        return repeats[0]
    index = value - 1 + (plain == 0)
    if index == 0:
        return repeats[0]
    offset = repeats[0] - 1 if index == 3 else repeats[index]
    if index > 1:
        repeats[2] = repeats[1]
    repeats[1] = repeats[0]
    repeats[0] = offset
    return offset


def _copy(frame: _Frame, offset: int, length: int) -> None:
    output = frame.output
    if not 0 < offset <= len(output):
        raise ValueError("a match lies before the start")
    piece = output[-offset:] if offset < length else output[-offset : len(output) - offset + length]
    if len(piece) < length:
        piece = (piece * (length // offset + 1))[:length]
    _append(frame, piece)


def _literals(frame: _Frame, block: bytes) -> tuple[bytes | bytearray, int]:
    kind, form = block[0] & 3, block[0] >> 2 & 3
    if kind in {_RAW, _RLE}:
        width = (1, 2, 1, 3)[form]
        size = int.from_bytes(block[:width], "little") >> (4 if form & 1 else 3)
        if size > _MAX_BLOCK:
            raise ValueError("literals larger than a block")
        if kind == _RLE:
            return block[width : width + 1] * size, width + 1
        return block[width : width + size], width + size
    width, bits = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
    header = int.from_bytes(block[:width], "little") >> 4
    size, packed = header & (1 << bits) - 1, header >> bits & (1 << bits) - 1
    if size > _MAX_BLOCK:
        raise ValueError("literals larger than a block")
    data, end = block[width : width + packed], width + packed
    if kind == _COMPRESSED:
        frame.huffman, used = _huffman(data)
        data = data[used:]
    if frame.huffman is None:
        raise ValueError("a Huffman table is repeated before it was given")
    if form == 0:
        return _unpack(frame.huffman, data, size), end
    first, second, third = (int.from_bytes(data[at : at + 2], "little") for at in (0, 2, 4))
    starts = (6, 6 + first, 6 + first + second, 6 + first + second + third, len(data))
    quarter = (size + 3) // 4
    sizes = (quarter, quarter, quarter, size - 3 * quarter)
    parts = (data[start:stop] for start, stop in itertools.pairwise(starts))
    return b"".join(_unpack(frame.huffman, part, each) for part, each in zip(parts, sizes, strict=True)), end


def _unpack(huffman: tuple[list[tuple[int, int]], int], data: bytes, size: int) -> bytes:
    table, depth = huffman
    stream = _Backwards(data)
    output = bytearray()
    for _ in range(size):
        symbol, width = table[stream.peek(depth)]
        stream.left -= width
        output.append(symbol)
    if stream.left != 0:
        raise ValueError("a Huffman stream does not end where it should")
    return bytes(output)


def _huffman(data: bytes) -> tuple[tuple[list[tuple[int, int]], int], int]:
    first = data[0]
    if first < 128:
        weights, used = _packed_weights(data[1 : 1 + first]), 1 + first
    else:
        count = first - 127
        used = 1 + (count + 1) // 2
        weights = [nibble for byte in data[1:used] for nibble in (byte >> 4, byte & 15)][:count]
    total = sum(1 << weight >> 1 for weight in weights)
    depth = total.bit_length()
    rest = (1 << depth) - total
    if not 0 < depth <= 11 or rest & rest - 1:
        raise ValueError("Huffman weights do not add up")
    weights.append(rest.bit_length())
    table: list[tuple[int, int]] = []
    for weight in range(1, depth + 1):
        for symbol, own in enumerate(weights):
            if own == weight:
                table += [(symbol, depth + 1 - weight)] * (1 << weight - 1)
    if len(table) != 1 << depth:
        raise ValueError("Huffman weights do not fill their table")
    return (table, depth), used


def _packed_weights(data: bytes) -> list[int]:
    counts, log, used = _counts(data)
    table = _build(counts, log)
    stream = _Backwards(data[used:])
    states = [stream.take(log), stream.take(log)]
    weights: list[int] = []
    turn = 0
    while len(weights) < 255:
        state = states[turn]
        weights.append(table.symbols[state])
        if table.widths[state] > stream.left:
            weights.append(table.symbols[states[1 - turn]])
            return weights
        states[turn] = table.bases[state] + stream.take(table.widths[state])
        turn = 1 - turn
    raise ValueError("too many Huffman weights")


def _counts(data: bytes) -> tuple[list[int], int, int]:
    """Normalised counts, table log and bytes used of a table description."""
    bits = int.from_bytes(data[:512], "little")
    log = (bits & 15) + 5
    if log > 9:
        raise ValueError("a table is too large")
    position, remaining, threshold, width = 4, (1 << log) + 1, 1 << log, log + 1
    counts: list[int] = []
    while remaining > 1:
        spare = 2 * threshold - 1 - remaining
        value = bits >> position & 2 * threshold - 1
        if value & threshold - 1 < spare:
            count = value & threshold - 1
            position += width - 1
        else:
            count = value - spare if value >= threshold else value
            position += width
        count -= 1
        remaining -= abs(count)
        counts.append(count)
        while count == 0:
            more = bits >> position & 3
            position += 2
            counts += [0] * more
            if more < 3:
                break
        while 1 < remaining < threshold:
            width -= 1
            threshold >>= 1
        if len(counts) > 256:
            raise ValueError("a table has too many symbols")
    used = (position + 7) // 8
    if remaining != 1 or used > len(data):
        raise ValueError("a table's counts do not add up")
    return counts, log, used


def _build(counts: list[int], log: int) -> _Fse:
    size = 1 << log
    symbols = [0] * size
    high = size - 1
    for symbol, count in enumerate(counts):
        if count == -1:
            symbols[high] = symbol
            high -= 1
    position, step = 0, (size >> 1) + (size >> 3) + 3
    for symbol, count in enumerate(counts):
        for _ in range(max(count, 0)):
            symbols[position] = symbol
            position = position + step & size - 1
            while position > high:
                position = position + step & size - 1
    following = [max(count, 1) for count in counts]
    widths, bases = [], []
    for symbol in symbols:
        state = following[symbol]
        following[symbol] += 1
        width = log - state.bit_length() + 1
        widths.append(width)
        bases.append((state << width) - size)
    return _Fse(log, symbols, widths, bases)
