"""Tables for people and for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """As text: a title, aligned columns, notes."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    """None: not known, or not reached."""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.columns, *([_shown(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        numbers = [any(isinstance(row[place], int | float) for row in self.rows) for place in range(len(self.columns))]
        aligned = (
            "  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in zip(*line, strict=True))
            for line in ((line, widths, numbers) for line in lines)
        )
        return "\n".join([self.title, *(line.rstrip() for line in aligned), *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """For JSON: rows by column."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
