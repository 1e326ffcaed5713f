"""Change the look while frames are painted."""

from dataclasses import replace
from fractions import Fraction

from livestyle.look import Look
from livestyle.streaming.looks import SwitchedLook
from livestyle.stylizer import Stylizer

REFINED_FADE_SECONDS = Fraction(1)


class LookControl(SwitchedLook):
    """A look source that a user changes step by step. Each change applies from the next painted frame on.

    styles: the names to choose from.
    look: the first look. Its style may be a blend or a file that is not in `styles`.
    """

    def __init__(self, stylizer: Stylizer, styles: list[str], look: Look) -> None:
        super().__init__(look)
        self.styles = styles
        self._stylizer = stylizer
        self._refined: dict[str, Look] = {}  # by name

    def select(self, style: str) -> None:
        """Change the style, and keep strength and colours. Raises StyleError if its file is gone or broken."""
        look = self._refined.get(style) or self._stylizer.look(style)
        self.look = replace(look, strength=self.look.strength, keep_colors=self.look.keep_colors)

    def refine(self, look: Look) -> None:
        """From now on, use this look's rows for the style of its name. If that style is shown, crossfade to them."""
        self._refined[look.name] = look
        if self.look.name == look.name:
            self.fade_to(replace(self.look, rows=look.rows), REFINED_FADE_SECONDS)

    def step(self, steps: int) -> None:
        """Select the style that is `steps` places after the current one, wrapping around at the ends; -1 is the previous one.

        From a style that is not in `styles`, 1 selects the first and -1 the last one.
        """
        if not self.styles:
            return
        current = self.look.name
        place = self.styles.index(current) if current in self.styles else min(-steps, 0)
        self.select(self.styles[(place + steps) % len(self.styles)])

    def add_strength(self, difference: float) -> None:
        """Add to the strength, rounded to one decimal and limited to 0..1."""
        self.look = replace(self.look, strength=min(1.0, max(0.0, round(self.look.strength + difference, 1))))

    def toggle_colors(self) -> None:
        """Switch between the painting's colours and the photo's."""
        self.look = replace(self.look, keep_colors=not self.look.keep_colors)
