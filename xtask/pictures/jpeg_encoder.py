"""A JPEG encoder with a free choice of sampling, scans, markers and tables.

Upstream: ITU-T T.81, annexes F and G; libjpeg's `jchuff.c` and `jcphuff.c`.
"""

import struct
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from common import smooth

ZIGZAG = np.array(sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8) if (i // 8 + i % 8) % 2 else (i % 8))))
DCT = np.array([[np.cos((2 * x + 1) * u * np.pi / 16) * (0.5 if u else 0.125**0.5) for x in range(8)] for u in range(8)])


def up(a, b):
    return -(-a // b)


def code_lengths(counts):
    """Symbol → code length of at most 16 bits, with no code of all ones (T.81, K.2)."""
    freq = dict(counts) | {256: 1}
    others = defaultdict(list)
    size = Counter()
    alive = dict(freq)
    while len(alive) > 1:
        a, b = sorted(alive, key=lambda s: (alive[s], -s))[:2]
        for s in [a, b, *others[a], *others[b]]:
            size[s] += 1
        alive[a] += alive.pop(b)
        others[a] += [b, *others[b]]
    bits = Counter(size.values())
    for length in range(max(bits), 16, -1):
        while bits[length]:
            shorter = next(j for j in range(length - 2, 0, -1) if bits[j])
            bits[length] -= 2
            bits[length - 1] += 1
            bits[shorter + 1] += 2
            bits[shorter] -= 1
    bits[max(n for n, many in bits.items() if many)] -= 1
    ordered = sorted((s for s in size if s != 256), key=lambda s: (size[s], s))
    return [bits[n] for n in range(1, 17)], ordered


def codes(bits, symbols):
    table, code, at = {}, 0, 0
    for length, many in enumerate(bits, 1):
        for _ in range(many):
            table[symbols[at]] = (code, length)
            code, at = code + 1, at + 1
        code <<= 1
    return table


class Bits:
    def __init__(self):
        self.out, self.value, self.n = bytearray(), 0, 0

    def put(self, value, n):
        self.value, self.n = (self.value << n) | value, self.n + n
        while self.n >= 8:
            byte = (self.value >> (self.n - 8)) & 255
            self.out += bytes([byte, 0]) if byte == 255 else bytes([byte])
            self.n -= 8
        self.value &= (1 << self.n) - 1

    def flush(self):
        if self.n:
            self.put((1 << (8 - self.n)) - 1, 8 - self.n)


@dataclass
class Component:
    id: int
    h: int
    v: int
    quant: int
    blocks: np.ndarray  # [rows, columns, 64] quantised, in zigzag order, padded to whole MCUs


@dataclass
class Scan:
    parts: tuple  # indices of components
    first: int = 0
    last: int = 63
    high: int = 0
    low: int = 0
    restart: int = 0


@dataclass
class Frame:
    width: int
    height: int
    components: list
    quants: list  # [64] each, zigzag order
    sof: int = 0xC0
    tables_first: bool = False  # all Huffman tables before the first scan, else each before its scan
    header: bytes = b""  # segments after SOI
    between: bytes = b""  # segments before every scan but the first
    fill: int = 0  # 0xFF bytes put before each marker
    late_quants: bool = False  # each quantisation table just before the scan that needs it


class Coder:
    """One scan → tokens (table, symbol, extra bits, their number); table `None` for raw bits, `rst` for a restart."""

    def __init__(self, frame, scan):
        self.frame, self.scan, self.tokens = frame, scan, []
        self.run, self.corrections = 0, []
        self.previous = Counter()

    def mcus(self):
        frame, parts = self.frame, self.scan.parts
        hmax, vmax = max(c.h for c in frame.components), max(c.v for c in frame.components)
        if len(parts) == 1:
            c = frame.components[parts[0]]
            columns = up(up(frame.width * c.h, hmax), 8)
            rows = up(up(frame.height * c.v, vmax), 8)
            return [[(parts[0], c.blocks[y, x])] for y in range(rows) for x in range(columns)]
        wide, high = up(frame.width, 8 * hmax), up(frame.height, 8 * vmax)
        return [
            [
                (i, c.blocks[my * c.v + y, mx * c.h + x])
                for i in parts
                for c in [frame.components[i]]
                for y in range(c.v)
                for x in range(c.h)
            ]
            for my in range(high)
            for mx in range(wide)
        ]

    def encode(self):
        progressive = self.frame.sof == 0xC2
        for n, mcu in enumerate(self.mcus()):
            if self.scan.restart and n and n % self.scan.restart == 0:
                self.end_run()
                self.tokens.append(("rst", n // self.scan.restart - 1, 0, 0))
                self.previous.clear()
            for i, block in mcu:
                block = [int(v) for v in block]
                if not progressive:
                    self.dc(i, block[0])
                    self.ac(i, block, 1, 63, runs=False)
                elif self.scan.first == 0:
                    if self.scan.high:
                        self.tokens.append((None, 0, (block[0] >> self.scan.low) & 1, 1))
                    else:
                        self.dc(i, block[0] >> self.scan.low)
                elif self.scan.high:
                    self.refine(i, block)
                else:
                    low = self.scan.low
                    shifted = [(abs(v) >> low) * (1 if v > 0 else -1) for v in block]
                    self.ac(i, shifted, self.scan.first, self.scan.last, runs=True)
        self.end_run()
        return self.tokens

    def table(self, kind, i):
        return (kind, 0 if i == 0 else 1)

    def number(self, table, prefix, value):
        n = abs(value).bit_length()
        self.tokens.append((table, prefix << 4 | n, value if value >= 0 else value + (1 << n) - 1, n))

    def dc(self, i, value):
        self.number(self.table("dc", i), 0, value - self.previous[i])
        self.previous[i] = value

    def ac(self, i, block, first, last, runs):
        self.ac_table = table = self.table("ac", i)
        zeros = 0
        for k in range(first, last + 1):
            if block[k] == 0:
                zeros += 1
                continue
            self.end_run()
            while zeros > 15:
                self.tokens.append((table, 0xF0, 0, 0))
                zeros -= 16
            self.number(table, zeros, block[k])
            zeros = 0
        if zeros and runs:
            self.run += 1
            if self.run == 0x7FFF:
                self.end_run()
        elif zeros:
            self.tokens.append((table, 0, 0, 0))

    def refine(self, i, block):
        self.ac_table = table = self.table("ac", i)
        size = [abs(v) >> self.scan.low for v in block]
        span = range(self.scan.first, self.scan.last + 1)
        newest = max((k for k in span if size[k] == 1), default=0)
        zeros, pending = 0, []
        for k in span:
            if size[k] == 0:
                zeros += 1
                continue
            while zeros > 15 and k <= newest:
                self.end_run()
                self.tokens.append((table, 0xF0, 0, 0))
                self.raw(pending)
                zeros, pending = zeros - 16, []
            if size[k] > 1:
                pending.append(size[k] & 1)
                continue
            self.end_run()
            self.tokens.append((table, zeros << 4 | 1, int(block[k] > 0), 1))
            self.raw(pending)
            zeros, pending = 0, []
        if zeros or pending:
            self.run += 1
            self.corrections += pending
            if self.run == 0x7FFF or len(self.corrections) > 900:
                self.end_run()

    def raw(self, bits):
        self.tokens += [(None, 0, bit, 1) for bit in bits]

    def end_run(self):
        if self.run:
            n = self.run.bit_length() - 1
            self.tokens.append((self.ac_table, n << 4, self.run & ((1 << n) - 1), n))
            self.raw(self.corrections)
            self.run, self.corrections = 0, []


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def write(frame, scans):
    """The whole file."""
    coded = [Coder(frame, scan).encode() for scan in scans]
    counts = [defaultdict(Counter) for _ in scans]
    for tokens, count in zip(coded, counts):
        for table, symbol, _, _ in tokens:
            if table not in (None, "rst"):
                count[table][symbol] += 1
    if frame.tables_first:
        every = defaultdict(Counter)
        for count in counts:
            for table in count:
                every[table] += count[table]
        counts = [every] * len(scans)
    tables = [{t: code_lengths(c) for t, c in count.items()} for count in counts]

    def dht(which):
        return b"".join(
            segment(0xC4, bytes([(kind == "ac") << 4 | slot]) + bytes(bits) + bytes(symbols))
            for (kind, slot), (bits, symbols) in sorted(which.items())
        )

    def dqt(slot):
        q = frame.quants[slot]
        if max(q) < 256:
            return segment(0xDB, bytes([slot]) + bytes(q))
        return segment(0xDB, bytes([16 | slot]) + struct.pack(">64H", *q))

    out = b"\xFF\xD8" + frame.header
    used = sorted({c.quant for c in frame.components})
    if not frame.late_quants:
        out += b"".join(dqt(slot) for slot in used)
    parts = b"".join(bytes([c.id, c.h << 4 | c.v, c.quant]) for c in frame.components)
    out += b"\xFF" * frame.fill
    out += segment(frame.sof, struct.pack(">BHHB", 8, frame.height, frame.width, len(frame.components)) + parts)
    restart, known = 0, set()
    for n, scan in enumerate(scans):
        if n:
            out += frame.between
        if frame.late_quants:
            fresh = {frame.components[i].quant for i in scan.parts} - known
            out += b"".join(dqt(slot) for slot in sorted(fresh))
            known |= fresh
        if n == 0 or not frame.tables_first:
            out += dht(tables[n])
        if scan.restart != restart:
            out += segment(0xDD, struct.pack(">H", scan.restart))
            restart = scan.restart
        head = bytes([len(scan.parts)])
        for i in scan.parts:
            slot = 0 if i == 0 else 1
            head += bytes([frame.components[i].id, slot << 4 | slot])
        out += b"\xFF" * frame.fill + segment(0xDA, head + bytes([scan.first, scan.last, scan.high << 4 | scan.low]))
        look = {t: codes(*made) for t, made in tables[n].items()}
        bits = Bits()
        for table, symbol, extra, many in coded[n]:
            if table == "rst":
                bits.flush()
                bits.out += bytes([0xFF, 0xD0 + symbol % 8])
                continue
            if table is not None:
                bits.put(*look[table][symbol])
            if many:
                bits.put(extra, many)
        bits.flush()
        out += bytes(bits.out)
    return out + b"\xFF\xD9"


def component(rng, width, height, sampling, most, quant, slot, id):
    """A smooth plane, transformed and quantised."""
    (h, v), (hmax, vmax) = sampling, most
    columns, rows = up(width, 8 * hmax) * h, up(height, 8 * vmax) * v
    plane = smooth(rng, columns * 8, rows * 8, 1)[..., 0].astype(float) - 128
    tiles = plane.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    spectrum = (DCT @ tiles @ DCT.T).reshape(rows, columns, 64)[..., ZIGZAG]
    blocks = np.rint(spectrum / np.array(quant)).astype(int).clip(-1023, 1023)
    return Component(id, h, v, slot, blocks)
