"""Receive the notes and controllers of a MIDI controller."""

from typing import Any

from livestyle.errors import DeviceError
from livestyle.jobs.live.remote.messages import QUEUE_LENGTH
from livestyle.jobs.live.remote.midi_mapping import Event, Source
from livestyle.streaming.channel import BoundedQueue


class MidiInput:
    """An open MIDI port. The library calls it from a thread of its own, which `close` ends.

    name: the name of the port or a part of it, in any case. Of several ports, the first one is used.

    Raises DeviceError if there is no such port, if it cannot be opened, or if mido or python-rtmidi is missing.
    """

    def __init__(self, name: str) -> None:
        try:
            import mido
        except ImportError as error:
            raise DeviceError("MIDI needs mido and python-rtmidi; pip install mido python-rtmidi") from error
        try:
            names: list[str] = mido.get_input_names()
        except ImportError as error:  # mido imports rtmidi only here
            raise DeviceError("MIDI needs python-rtmidi; pip install python-rtmidi") from error
        except Exception as error:  # errors of rtmidi have no class in common with those of other MIDI libraries
            raise DeviceError(f"MIDI is not available: {error}; on Linux it needs the kernel module snd-seq") from error
        found = [each for each in names if name.casefold() in each.casefold()]
        if not found:
            ports = f"there are: {', '.join(names)}" if names else "there are none; is the controller plugged in?"
            raise DeviceError(f"no MIDI port has {name!r:.60} in its name; {ports}")
        self._events: BoundedQueue[Event] = BoundedQueue(QUEUE_LENGTH, drop_oldest=True)
        self.name = name if name in found else found[0]
        try:
            self._port = mido.open_input(self.name, callback=self._receive)
        except Exception as error:
            raise DeviceError(f"cannot open the MIDI port {self.name}: {error}; is another program using it?") from error

    @property
    def dropped(self) -> int:
        """Events dropped because newer ones arrived before they were read."""
        return self._events.dropped

    def events(self) -> list[Event]:
        """Return the notes and controllers since the last call."""
        return self._events.poll_all()

    def close(self) -> None:
        """Close the port. Idempotent."""
        self._port.close()

    def _receive(self, message: Any) -> None:
        """Queue the message if it is a note that begins, or a controller; of any channel. Called in the library's thread."""
        if message.type == "note_on" and message.velocity > 0:  # at velocity 0 the note ends
            self._events.put(Event(Source("note", message.note), message.velocity))
        elif message.type == "control_change":
            self._events.put(Event(Source("controller", message.control), message.value))
