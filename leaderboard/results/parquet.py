"""Tables in Parquet files as rows of texts, as a CSV file would hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.core.errors import ResultError
from bench.core.text import echoed

PARQUET_INDEX = "__index_level_0__"
"""Name of the column of row numbers that pandas writes behind the others."""

LARGEST_TABLE = 256 * 2**20
"""Bytes that a table may become in memory, as its file announces them."""

MOST_COLUMNS = 100


def is_parquet(content: bytes) -> bool:
    """Whether a file begins as Parquet files do."""
    return content[:4] == b"PAR1"


def parquet_rows(content: bytes, where: str, most_rows: int) -> Iterator[tuple[int, list[str]]]:
    """Read a Parquet file.

    Args:
        content: Of the file.
        where: Its name, for messages.
        most_rows: Rows that it may have.

    Yields:
        Line 1 with the names of the columns, then the rows from line 2 on.

    Raises:
        ResultError: If no reader is installed, or the file cannot be read or would become too large.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ResultError(
            f"{where} is a Parquet file, and no reader is installed: {error}.",
            "Install one (pip install 'lungbench[parquet]'), or write CSV.",
        ) from error
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(content))
        _check_size(file.metadata, where, most_rows)
        table = file.read()
        columns = [["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns]
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise ResultError(f"{where} is no Parquet file that can be read: {echoed(error, 200)}.") from error
    yield 1, list(table.column_names)
    for line, row in enumerate(zip(*columns, strict=True), start=2):
        yield line, list(row)


def _check_size(metadata: Any, where: str, most_rows: int) -> None:
    """Refuse a table that would not fit into memory before it is unpacked."""
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if size > LARGEST_TABLE or metadata.num_columns > MOST_COLUMNS or metadata.num_rows > most_rows:
        raise ResultError(
            f"{where} has {metadata.num_rows:,} lines of {metadata.num_columns:,} columns, {size / 2**20:,.0f} MiB, "
            "which no predictions have."
        )
