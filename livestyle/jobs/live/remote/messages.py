"""The controls that remote messages change, and the check of a message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from livestyle.errors import InputError

PREFIX = "/livestyle/"
"""The OSC address of a control is this prefix and the name of the control."""
QUEUE_LENGTH = 64
"""The most messages of one receiver that wait for the next frame. If more arrive, the oldest are dropped."""
LONGEST_NAME = 100  # characters
LARGEST_NUMBER = 1000  # of a style or a cue

Argument = str | int | float | bool | None


@dataclass(frozen=True)
class Control:
    """Something that remote messages change."""

    name: str
    kind: Literal["choice", "amount", "switch"]
    """A choice takes a name or a number from 1; an amount a number from 0 to `most`; a switch 1, 0, or nothing to toggle."""
    help: str
    most: float = 1.0

    @property
    def address(self) -> str:
        """The OSC address."""
        return PREFIX + self.name

    @property
    def argument(self) -> str:
        """A description of the argument."""
        return {"choice": "NAME|NUMBER", "amount": f"0..{self.most:g}", "switch": "[1|0]"}[self.kind]

    def check(self, arguments: Sequence[object]) -> Argument:
        """Return the argument of a message; None toggles a switch. Raises InputError if it is not what `argument` describes."""
        if not arguments and self.kind == "switch":
            return None
        value = arguments[0] if len(arguments) == 1 else None
        if self.kind == "choice" and isinstance(value, str) and 0 < len(value) <= LONGEST_NAME:
            return value
        if isinstance(value, int | float):  # the comparisons are False for NaN
            if self.kind == "switch" and value in (0, 1):
                return bool(value)
            if self.kind == "amount" and not isinstance(value, bool) and 0 <= value <= self.most:
                return float(value)
            # most controllers send every number as a float
            if self.kind == "choice" and not isinstance(value, bool) and 1 <= value <= LARGEST_NUMBER and value == int(value):
                return int(value)
        found = " ".join(f"{argument!r:.30}" for argument in arguments[:3]) or "nothing"
        raise InputError(f"{self.address} takes {self.argument}, not {found}")


CONTROLS = (
    Control("style", "choice", "select a style by its name, or by its number from 1"),
    Control("blend", "amount", "blend the last two styles; the share of the last one"),
    Control("strength", "amount", "strength of the style, from the photo to the painting"),
    Control("fade", "amount", "seconds that a style change takes; 0 cuts", most=10.0),
    Control("cue", "choice", "fire a cue of the show by its name, or by its number from 1"),
    Control("colours", "switch", "keep the photo's colours, on or off; without an argument, the other one"),
    Control("record", "switch", "start or stop recording; without an argument, the other one"),
)


@dataclass(frozen=True)
class Message:
    """A checked message: a control, and its new value as `Control.check` returns it."""

    control: str
    argument: Argument


def check_message(address: str, arguments: Sequence[object]) -> Message:
    """Return the message with this OSC address and these arguments. Raises InputError if it is not one of CONTROLS."""
    for control in CONTROLS:
        if address == control.address:
            return Message(control.name, control.check(arguments))
    raise InputError(f"there is no control {address!r:.60}; there are {', '.join(control.address for control in CONTROLS)}")


def chosen(argument: Argument, names: Sequence[str], kind: str) -> str:
    """The name that the argument of a choice states, or the one with that number, from 1. Raises InputError if there is none.

    kind: what is chosen, for the message.
    """
    if isinstance(argument, str) and argument in names:
        return argument
    if isinstance(argument, int) and argument <= len(names):
        return names[argument - 1]
    known = f"there are {len(names)}: {', '.join(names[:9])}" if names else "there are none"
    raise InputError(f"there is no {kind} {argument!r:.60}; {known}")
