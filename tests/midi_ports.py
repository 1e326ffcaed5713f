"""A mido backend whose ports are in memory: `mido.set_backend("midi_ports")`."""

from collections.abc import Callable
from typing import Any

import mido

NAMES: list[str] = []
"""Names of the ports that exist."""
OPEN: dict[str, "Input"] = {}
"""The ports that are open, by name."""


class Input:
    def __init__(self, name: str, callback: Callable[[Any], None], **_settings: object) -> None:
        if name not in NAMES:
            raise OSError(f"unknown port {name!r}")
        self.name, self.callback = name, callback
        OPEN[name] = self

    def close(self) -> None:
        OPEN.pop(self.name, None)


def get_devices(**_settings: object) -> list[dict[str, object]]:
    return [{"name": name, "is_input": True, "is_output": False} for name in NAMES]


def play(name: str, kind: str, **values: int) -> None:
    """Send a message through an open port, as its controller would."""
    OPEN[name].callback(mido.Message(kind, **values))
