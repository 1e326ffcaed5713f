"""A table that is printed as text or as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None
"""The content of a cell. None is printed as "-": unknown, or not reached within the limit."""


@dataclass(frozen=True)
class Table:
    """A table with a title, rows of cells, and notes. str() returns it as text with aligned columns."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.columns, *([_format(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        numeric = [any(isinstance(row[index], int | float) for row in self.rows) for index in range(len(self.columns))]
        aligned = (
            "  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in zip(*line, strict=True))
            for line in ((line, widths, numeric) for line in lines)
        )
        return "\n".join([self.title, *(line.rstrip() for line in aligned), *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """Return the table for JSON. Each row is a mapping from column titles to cells."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def _format(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
