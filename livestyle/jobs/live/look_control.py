"""Change the look while frames are painted."""

import time
from collections.abc import Callable
from dataclasses import replace

from livestyle.errors import InputError, StyleError
from livestyle.jobs.live.cues import Cue
from livestyle.jobs.live.remote.messages import Message, chosen
from livestyle.look import Look, Mix
from livestyle.streaming.looks import SwitchedLook, crossfade
from livestyle.stylizer import Stylizer

FADE_SECONDS = 0.5
REFINED_FADE_SECONDS = 1.0


class LookControl(SwitchedLook):
    """A look source that a user changes step by step. Each change begins with the next painted frame.

    styles: the names to choose from.
    look: the first look. Its style may be a blend or a file that is not in `styles`.
    fade_seconds: the duration of the crossfade to another style or blend; 0 for a cut.
    clock: the time in seconds.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        styles: list[str],
        look: Look,
        fade_seconds: float = FADE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(look, clock)
        self.styles = styles
        self.fade_seconds = fade_seconds
        self._stylizer = stylizer
        self._refined: dict[str, Look] = {}  # by name
        self._pair: tuple[Look, Look] | None = None  # the last two styles; None before the second one
        self._share = 1.0  # of the second style of the pair, in the current look

    def select(self, style: str) -> None:
        """Crossfade to a style, and keep strength and colours. Raises StyleError if its file is gone or broken."""
        self.fire(Cue(style, style))

    def fire(self, cue: Cue) -> None:
        """Crossfade to the look of a cue. Raises StyleError if its style's file is gone or broken."""
        look = self.look if cue.style is None else self._refined.get(cue.style) or self._stylizer.look(cue.style)
        if look.name != self.look.name:
            self._remember(look)
        strength = self.look.strength if cue.strength is None else cue.strength
        keep_colors = self.look.keep_colors if cue.keep_colors is None else cue.keep_colors
        seconds = self.fade_seconds if cue.fade_seconds is None else cue.fade_seconds
        self.fade_to(replace(look, strength=strength, keep_colors=keep_colors), seconds)

    def run(self, message: Message) -> None:
        """Run a checked message to the control style, blend, strength, fade or colours.

        Raises InputError if there is no such style, or if the last two styles cannot be blended; StyleError if a style's file is
        gone or broken.
        """
        match message.control, message.argument:
            case "style", choice:
                style = chosen(choice, self.styles, "style")
                if style != self.look.name:  # controllers repeat messages; each would begin the crossfade again
                    self.select(style)
            case "blend", float(share):
                try:
                    self.blend(share, fade_seconds=0)  # at once, as the user crossfades with the fader
                except StyleError as error:
                    raise InputError(str(error)) from error
            case "strength", float(strength):
                self.set_strength(strength)
            case "fade", float(seconds):
                self.fade_seconds = seconds
            case "colours", state:  # None toggles
                if state != self.look.keep_colors:
                    self.toggle_colors()

    @property
    def blend_share(self) -> float | None:
        """Share of the last style in the blend with the one before it; None before the second style was selected."""
        return None if self._pair is None else self._share

    def blend(self, share: float, fade_seconds: float | None = None) -> None:
        """Crossfade to a blend of the last two styles. share: of the last one, from 0 to 1. fade_seconds: None for the usual.

        Raises StyleError if only one style was shown so far, or if the two cannot be blended.
        """
        if self._pair is None:
            raise StyleError("select another style first; then the last two can be blended")
        one, other = self._pair
        blend = crossfade(one, other, share)
        if isinstance(blend, Mix):
            raise StyleError(f"{one.name} and {other.name} cannot be blended: they were not trained together")
        self._share = share
        name = {0.0: one.name, 1.0: other.name}.get(share, f"{one.name}:{1 - share:.1g},{other.name}:{share:.1g}")
        look = replace(blend, name=name, strength=self.look.strength, keep_colors=self.look.keep_colors)
        self.fade_to(look, self.fade_seconds if fade_seconds is None else fade_seconds)

    def shift_blend(self, difference: float) -> None:
        """Add to the share of the last style in the blend with the one before it, rounded to one decimal and limited to 0..1.

        Raises StyleError as `blend` does.
        """
        self.blend(min(1.0, max(0.0, round(self._share + difference, 1))))

    def _remember(self, look: Look) -> None:
        """Make this style the last one, and the one that has the larger share in the current look the one before it.

        If that is the same style, as it is selected from a blend, the one before it is the other style of the blend.
        """
        before = self.look
        if self._pair is not None:
            one, other = self._pair if self._share < 0.5 else self._pair[::-1]  # one has the larger share
            before = other if one.name == look.name else one
        self._pair, self._share = (before, look), 1.0

    def refine(self, look: Look) -> None:
        """From now on, use this look's rows for the style of its name. If that style is shown, crossfade to them."""
        self._refined[look.name] = look
        if self.look.name == look.name:
            self.fade_to(replace(self.look, rows=look.rows), REFINED_FADE_SECONDS)

    def replace_styles(self, styles: list[str], changed: list[Look]) -> None:
        """Set the names to choose from, and crossfade if the style that is shown has changed."""
        self.styles = styles
        for look in changed:
            if look.name in self._refined or look.name == self.look.name:
                self.refine(look)

    def step(self, steps: int) -> None:
        """Select the style that is `steps` places after the current one, wrapping around at the ends; -1 is the previous one.

        From a style that is not in `styles`, 1 selects the first and -1 the last one.
        """
        if not self.styles:
            return
        current = self.look.name if self._pair is None else self._pair[1].name
        place = self.styles.index(current) if current in self.styles else min(-steps, 0)
        self.select(self.styles[(place + steps) % len(self.styles)])

    def add_strength(self, difference: float) -> None:
        """Add to the strength, rounded to one decimal and limited to 0..1."""
        self.set_strength(min(1.0, max(0.0, round(self.look.strength + difference, 1))))

    def set_strength(self, strength: float) -> None:
        """Set the strength, from 0 to 1, at once."""
        self.adjust(lambda look: replace(look, strength=strength))

    def toggle_colors(self) -> None:
        """Switch between the painting's colours and the photo's."""
        keep_colors = not self.look.keep_colors
        self.adjust(lambda look: replace(look, keep_colors=keep_colors))
