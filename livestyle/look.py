"""A look: everything that decides how a frame is painted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from livestyle.frame import FloatArray
from livestyle.networks.body import Body

LUMA = (0.299, 0.587, 0.114)  # weights of R, G and B in BT.601 luma


@dataclass(frozen=True, eq=False, repr=False)
class Look:
    """Style, strength and colours. Immutable. Two looks are equal if they paint the same; their names may differ."""

    body: Body
    rows: FloatArray
    """The style's rows, (2, K) fp32: row 0 holds the scales of all norms, row 1 the shifts."""
    strength: float = 1.0
    """Strength of the style, from 0 (the photo) to 1 (the painting)."""
    keep_colors: bool = False
    """Whether to combine the painting's lightness with the photo's colours."""
    name: str = ""
    """Name to display: the style's, or a blend such as "wave:.7,udnie:.3"."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Look):
            return NotImplemented
        same_mix = (self.strength, self.keep_colors) == (other.strength, other.keep_colors)
        return same_mix and np.array_equal(self.rows, other.rows) and self.body == other.body

    def __hash__(self) -> int:
        return hash((self.strength, self.keep_colors, self.body, float(self.rows.sum())))

    def __repr__(self) -> str:
        return f"Look({self.name!r}, {self.body!r}, strength={self.strength}, keep_colors={self.keep_colors})"

    @cached_property
    def mixing(self) -> FloatArray | None:
        """Matrix M, (3, 3) fp32: each RGB pixel becomes photo + M (painting - photo). None if the painting is shown unchanged."""
        if self.strength == 1 and not self.keep_colors:
            return None
        unmixed = np.tile(LUMA, (3, 1)) if self.keep_colors else np.eye(3)
        return (self.strength * unmixed).astype(np.float32)


@dataclass(frozen=True)
class Mix:
    """Two looks, between which a crossfade mixes the pictures. Needed if their bodies differ, and takes twice the time."""

    start: Look
    end: Look
    share: float
    """Share of `end` in the picture, from 0 to 1."""


def bodies(look: Look | Mix) -> tuple[Body, ...]:
    """The body of a look, or both bodies of a mix."""
    return (look.start.body, look.end.body) if isinstance(look, Mix) else (look.body,)
