"""Single bits and Exp-Golomb codes, as slice headers are written: ITU-T H.264 7.2 and 9.1."""


def ue(value: int) -> str:
    """The code ue(v) of a value, as a string of 0 and 1."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def packed(bits: str) -> bytes:
    """The bits as bytes; the last byte is filled up with ones.

    Ones, because zeros could begin a start code together with the bytes that follow.
    """
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


class BitReader:
    """Reads bits from the front of data. Raises ValueError at its end."""

    __slots__ = ("_bits", "position")

    def __init__(self, data: bytes) -> None:
        self._bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
        self.position = 0

    def bit(self) -> str:
        return self._take(1)

    def ue(self) -> int:
        end = self._bits.find("1", self.position)
        if end < 0:
            raise ValueError("no Exp-Golomb code ends here")
        zeros, self.position = end - self.position, end
        return int(self._take(zeros + 1), 2) - 1

    def bytes_read(self) -> int:
        """How many bytes have been begun."""
        return -(-self.position // 8)

    def _take(self, count: int) -> str:
        end = self.position + count
        if end > len(self._bits):
            raise ValueError("the data ends here")
        taken, self.position = self._bits[self.position : end], end
        return taken
