"""What one viewer sees: a look of its own, changed by messages, and the frames that are painted for it."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from livestyle.errors import InputError, TooLargeError
from livestyle.frame import Frame, Image
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.meter import Meter
from livestyle.jobs.live.remote.messages import CONTROLS, Argument, Control, Message
from livestyle.look import Look
from livestyle.server.limits import Limits
from livestyle.server.newest import Newest
from livestyle.server.painter import SharedPainter
from livestyle.streaming.comparison import compare
from livestyle.style_files.file_format import name_of_picture
from livestyle.stylizer import Stylizer

COMPARE = Control("compare", "amount", "share of the width that shows the photo, on the left")
ORDER = ("fade", "style", "blend", "strength", "colours", "compare")
SESSION_CONTROLS = {each.name: each for name in ORDER for each in (*CONTROLS, COMPARE) if each.name == name}
"""The controls of a session, by name: those of OSC that change the look, and COMPARE.

Those of one message apply in this order: a message's fade is that of its style."""


class Session:
    """One viewer's look and counts. Use it only in the thread of the event loop.

    styles: the names to choose from at first. look: the first look. session_id: None for a random one.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        painter: SharedPainter,
        styles: list[str],
        look: Look,
        limits: Limits,
        session_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = session_id or secrets.token_urlsafe(16)
        self.painted: Newest[Image] = Newest()
        """The newest painting, for those who follow this session."""
        self.changed_by_others: Newest[dict[str, object]] = Newest()
        """The state after each change that did not come from the viewer."""
        self.has_publisher = False
        """Whether a WebRTC connection sends video to this session."""
        self._looks = LookControl(stylizer, list(styles), look, clock=clock)
        self._stylizer, self._painter, self._limits = stylizer, painter, limits
        self._compare = 0.0
        self._added = 0
        self._meter = Meter(clock)

    @property
    def look(self) -> Look:
        """The look that was chosen last."""
        return self._looks.look

    def state(self) -> dict[str, object]:
        """The values of the controls, for clients."""
        look = self._looks.look
        return {
            "style": look.name,
            "styles": self._looks.styles,
            "strength": round(look.strength, 3),
            "blend": self._looks.blend_share,
            "fade": self._looks.fade_seconds,
            "colours": look.keep_colors,
            "compare": self._compare,
        }

    def figures(self) -> dict[str, object]:
        """The number of frames, their rate, and the time that this server takes for one."""
        meter = self._meter
        return {"frames": meter.frames, "fps": round(meter.fps, 1), "delay_ms": round(meter.delay_ms)}

    def change(self, settings: object) -> None:
        """Set one or more of SESSION_CONTROLS, by name.

        Raises InputError if a name or a value is wrong, StyleError if a style's file is gone or broken.
        """
        for name, argument in checked_settings(settings).items():
            if name == COMPARE.name and isinstance(argument, float):
                self._compare = argument
            else:
                self._looks.run(Message(name, argument))

    def check_style_room(self) -> None:
        """Raise TooLargeError if this session has as many styles of its own as the limits allow."""
        if self._added >= self._limits.styles:
            raise TooLargeError(f"a viewer can use {self._limits.styles} paintings as styles; reload the page to begin again")

    def add_style(self, look: Look) -> None:
        """Add a style that only this session has. Raises TooLargeError if it has too many."""
        self.check_style_room()
        self._added += 1
        self._looks.replace_styles([*self._looks.styles, look.name], [])
        self._looks.refine(look)

    def free_name(self, file_name: str) -> str:
        """A name for the style of a picture that no other style of this session has."""
        name = name_of_picture(Path(file_name[-200:]))
        numbered = (name if number == 1 else f"{name} {number}" for number in range(1, 10_000))
        return next(each for each in numbered if each not in self._looks.styles)

    async def paint(self, photo: Image) -> Image:
        """Paint a frame, (H, W, 3) uint8 RGB, in the current look -> the same shape. Publish the painting."""
        look = self._looks.at(Fraction(0))
        painting = await asyncio.wrap_future(self._painter.paint(photo, look))
        if self._compare:
            painting = compare(photo, painting, self._compare)
        self.painted.publish(painting)
        return painting

    def count(self, frame: Frame) -> None:
        """Count a frame that is sent now."""
        self._meter.count(frame)


def checked_settings(settings: object) -> Mapping[str, Argument]:
    """Check settings from outside: a mapping of names of SESSION_CONTROLS to values. Returns them in order. Raises InputError."""
    if not isinstance(settings, dict) or not settings:
        raise InputError('expected settings such as {"style": "scream"}')
    checked: dict[str, Any] = {}
    for name, value in settings.items():
        control = SESSION_CONTROLS.get(name)
        if control is None:
            raise InputError(f"there is no control {name!r:.60}; there are {', '.join(SESSION_CONTROLS)}")
        checked[name] = control.check([value])
    return {name: checked[name] for name in SESSION_CONTROLS if name in checked}
