"""A second envelope, written from docs/envelope.md alone: byte by byte, bit by bit, and slow.

It shares no code with pysframe.media, which it is compared with, and made vectors/envelope.json
(tools/envelope_vectors.py).
"""

PARAMETER_SETS = {"H264": (7, 8), "H265": (32, 33, 34)}


def dressed(codec: str, frame: bytes, ciphertext: bytes) -> bytes:
    """The wire frame."""
    if codec == "VP8":
        return vp8(frame) + ciphertext
    if codec in PARAMETER_SETS:
        return h26x(codec, frame, ciphertext)
    if codec == "AV1":
        return av1(frame, ciphertext)
    return ciphertext


# ---- VP8 ----


def vp8(frame: bytes) -> bytes:
    first = frame[0] % 32
    if first % 2 == 1:
        return bytes([first])
    if len(frame) >= 10 and list(frame[3:6]) == [0x9D, 0x01, 0x2A]:
        return bytes([first, 0, 0]) + frame[3:10]
    return bytes([1])


# ---- H.264 and H.265 ----


def nal_units(stream: bytes) -> list[bytes]:
    starts = []
    at = 0
    while at + 3 <= len(stream):
        if stream[at] == 0 and stream[at + 1] == 0 and stream[at + 2] == 1:
            starts.append(at)
            at += 3
        else:
            at += 1
    if not starts or any(stream[: starts[0]]):
        return []
    found = []
    for start, end in zip(starts, [*starts[1:], len(stream)], strict=True):
        unit = list(stream[start + 3 : end])
        while unit and unit[-1] == 0:
            unit.pop()
        if unit:
            found.append(bytes(unit))
    return found


def nal_type(codec: str, unit: bytes) -> int | None:
    """None: too short for its header, or the forbidden bit is set."""
    if len(unit) < (1 if codec == "H264" else 2) or unit[0] >= 128:
        return None
    return unit[0] % 32 if codec == "H264" else unit[0] // 2


def is_slice(codec: str, unit: bytes) -> bool:
    kind = nal_type(codec, unit)
    return kind is not None and (kind in (1, 5) if codec == "H264" else kind < 32)


def without_prevention(data: bytes) -> bytes:
    out, zeros = bytearray(), 0
    for byte in data:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        zeros = zeros + 1 if byte == 0 else 0
        out.append(byte)
    return bytes(out)


def with_prevention(data: bytes) -> bytes:
    out, zeros = bytearray(), 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        zeros = zeros + 1 if byte == 0 else 0
        out.append(byte)
    return bytes(out)


class Bits:
    def __init__(self, data: bytes) -> None:
        self.bits = [byte >> (7 - n) & 1 for byte in data for n in range(8)]

    def u(self) -> int:
        return self.bits.pop(0)

    def ue(self) -> int:
        zeros = 0
        while self.u() == 0:
            zeros += 1
        value = 1
        for _ in range(zeros):
            value = 2 * value + self.u()
        return value - 1


def code(value: int) -> list[int]:
    """ue(v)."""
    digits = []
    value += 1
    while value:
        digits.insert(0, value % 2)
        value //= 2
    return [0] * (len(digits) - 1) + digits


def read_pps(codec: str, kind: int, bits: Bits) -> int:
    if codec == "H264":
        bits.ue()
        bits.ue()
        return bits.ue()
    bits.u()
    if 16 <= kind <= 23:
        bits.u()
    return bits.ue()


def stub(codec: str, kind: int, pps: int) -> bytes:
    if codec == "H264":
        bits = code(0) + code(7 if kind == 5 else 5) + code(pps)
    else:
        bits = [1] + ([0] if 16 <= kind <= 23 else []) + code(pps)
    while len(bits) % 8:
        bits.append(1)
    return bytes(
        sum(bit << (7 - n) for n, bit in enumerate(bits[at : at + 8]))
        for at in range(0, len(bits), 8)
    )


def shown_parameter_sets(codec: str, frame: bytes) -> list[bytes]:
    return [u for u in nal_units(frame) if nal_type(codec, u) in PARAMETER_SETS[codec]]


def h26x(codec: str, frame: bytes, ciphertext: bytes) -> bytes:
    size = 1 if codec == "H264" else 2
    header, pps = bytes.fromhex("21" if codec == "H264" else "0201"), 0
    for unit in nal_units(frame):
        if is_slice(codec, unit):
            header = unit[:size]
            try:
                bits = Bits(without_prevention(unit[size : size + 16]))
                pps = read_pps(codec, nal_type(codec, unit), bits)
            except IndexError:
                pps = 0
            break
    if pps > (255 if codec == "H264" else 63):
        pps = 0
    body = stub(codec, nal_type(codec, header), pps) + ciphertext + b"\x80"
    units = [*shown_parameter_sets(codec, frame), header + with_prevention(body)]
    return b"".join(bytes([0, 0, 0, 1]) + unit for unit in units)


# ---- AV1 ----


def av1_units(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """(type, extension byte or nothing, payload); ValueError for what is cut short."""
    rest, found = list(data), []

    def take() -> int:
        if not rest:
            raise ValueError
        return rest.pop(0)

    while rest:
        head = take()
        if head >= 128:
            raise ValueError
        extension = bytes([take()]) if head & 4 else b""
        size = len(rest)
        if head & 2:
            size = 0
            for position in range(8):
                byte = take()
                size += byte % 128 << 7 * position
                if byte < 128:
                    break
            else:
                raise ValueError
        if size > len(rest):
            raise ValueError
        found.append((head // 8, extension, bytes(rest[:size])))
        del rest[:size]
    return found


def av1_unit(kind: int, extension: bytes, payload: bytes) -> bytes:
    size, rest = b"", len(payload)
    while True:
        size += bytes([rest % 128 + (128 if rest >= 128 else 0)])
        rest //= 128
        if not rest:
            break
    return bytes([kind * 8 + (4 if extension else 0) + 2]) + extension + size + payload


def av1(frame: bytes, ciphertext: bytes) -> bytes:
    try:
        units = av1_units(frame)
    except ValueError:
        units = []
    first = [extension for kind, extension, _ in units if kind in (3, 6)][:1]
    shown = b"".join(av1_unit(1, ext, payload) for kind, ext, payload in units if kind == 1)
    return shown + av1_unit(6, first[0] if first else b"", ciphertext)
