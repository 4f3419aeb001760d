"""A block of bytes that holds columns, and views of single columns in it."""

from array import array

from ...batch import never_filled


class ColumnsCore:
    """n rows, each a few integers; a column takes as many bytes of the block in each row."""

    __slots__ = ("_columns", "_count")

    _columns: bytes
    _count: int

    def __len__(self) -> int:
        return self._rows()

    def _column(self, start: int, width: int, code: str) -> memoryview:
        """The column of integers of this typecode that follows `start` bytes of each row."""
        count = self._rows()
        if not count:  # an empty view cannot be cast
            return memoryview(array(code)).toreadonly()
        column = memoryview(self._columns)[start * count : (start + width) * count]
        return column.cast(code).toreadonly()  # type: ignore[call-overload, no-any-return]

    def _rows(self) -> int:
        try:
            return self._count
        except AttributeError:
            raise never_filled() from None
