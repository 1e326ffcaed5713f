"""A look: everything that decides how a frame is painted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from livestyle.frame import FloatArray
from livestyle.networks.body import Body

LUMA = (0.299, 0.587, 0.114)  # BT.601


@dataclass(frozen=True, eq=False, repr=False)
class Look:
    """Style, strength and colours. Immutable. Two looks are equal if they paint the same, whatever their names."""

    body: Body
    rows: FloatArray
    """The style's scales and shifts, (2, K) fp32."""
    strength: float = 1.0
    """From 0, the photo, to 1, the painting."""
    keep_colors: bool = False
    """Show the painting's lightness with the photo's colours."""
    name: str = ""
    """For display: the style's name, or a blend such as "wave:.7,udnie:.3"."""

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
        """M, (3, 3) fp32, on RGB columns: the frame shown is photo + M (painting - photo). None if it is the painting itself."""
        if self.strength == 1 and not self.keep_colors:
            return None
        unmixed = np.tile(LUMA, (3, 1)) if self.keep_colors else np.eye(3)
        return (self.strength * unmixed).astype(np.float32)
