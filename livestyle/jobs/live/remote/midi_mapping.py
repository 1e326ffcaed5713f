"""Which MIDI note or controller changes which control: the mapping, its file, and learning it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import platformdirs

from livestyle.conf_file import read_conf_file
from livestyle.errors import InputError
from livestyle.jobs.live.remote.messages import CONTROLS, Control, Message
from livestyle.output_file import make_folders, write_whole

LARGEST_VALUE = 127  # of a note, a controller, and the value of each


@dataclass(frozen=True)
class Source:
    """A note or a controller, of any MIDI channel."""

    kind: Literal["note", "controller"]
    number: int
    """From 0 to 127."""

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


@dataclass(frozen=True)
class Event:
    """A note that begins, with its velocity, or a controller with its new value, from 0 to 127."""

    source: Source
    value: int


Mapping = dict[str, Source]
"""Name of a control -> the note or controller that changes it. For a choice, the note selects number 1, the next note 2 ..."""

DEFAULT: Mapping = {
    "style": Source("note", 60),
    "blend": Source("controller", 2),
    "strength": Source("controller", 1),
    "fade": Source("controller", 3),
    "cue": Source("note", 36),
    "colours": Source("note", 34),
    "record": Source("note", 35),
}


def fits(control: Control, source: Source) -> bool:
    """Whether a source can change a control: a choice needs notes, an amount a controller; a switch takes both."""
    return control.kind == "switch" or (source.kind == "note") == (control.kind == "choice")


def message_of(event: Event, mapping: Mapping) -> Message | None:
    """Return the message of an event, or None if no control is mapped to it."""
    source, value = event.source, event.value
    for control in CONTROLS:
        if control.kind != "choice" and mapping.get(control.name) == source:
            if control.kind == "amount":
                return Message(control.name, control.most * value / LARGEST_VALUE)
            return Message(control.name, None if source.kind == "note" else value > LARGEST_VALUE // 2)
    if source.kind == "controller":
        return None
    # the notes of a choice continue up to those of the next choice
    choices = [control.name for control in CONTROLS if control.kind == "choice" and control.name in mapping]
    firsts = {mapping[name].number: name for name in choices}
    first = max((number for number in firsts if number <= source.number), default=None)
    return None if first is None else Message(firsts[first], source.number - first + 1)


def mapping_path() -> Path:
    """The file of the user's mapping; ./midi.yml if the user has no home directory."""
    try:
        folder = platformdirs.user_config_path("livestyle")
    except (OSError, RuntimeError, KeyError):
        return Path("midi.yml")
    return folder / "midi.yml" if folder.is_absolute() else Path("midi.yml")


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file: lines such as `strength: controller 1`. DEFAULT if there is no file.

    Raises InputError; the message names the line, and says what to write.
    """
    if not path.exists():
        return dict(DEFAULT)
    file = read_conf_file(path, InputError, "MIDI mapping")
    controls = {control.name: control for control in CONTROLS}
    mapping: Mapping = {}
    for name, text in file.values.items():
        where = f"{path}, line {file.lines[(name,)]}"
        if name not in controls:
            raise InputError(f"{where}: there is no control {name!r:.40}; use {', '.join(controls)}")
        match = re.fullmatch(r"(note|controller) ([0-9]{1,3})", text) if isinstance(text, str) else None
        if match is None or int(match[2]) > LARGEST_VALUE:
            raise InputError(f"{where}: {name}: write a note or a controller from 0 to 127, such as `controller 1`")
        source = Source("note" if match[1] == "note" else "controller", int(match[2]))
        if not fits(controls[name], source):
            raise InputError(f"{where}: {name} cannot be a {source.kind}")
        if source in mapping.values():
            raise InputError(f"{where}: {source} is in use already; each note and controller changes one control")
        mapping[name] = source
    return mapping


def write_mapping(path: Path, mapping: Mapping) -> None:
    """Write a mapping file. It appears complete, or not at all. Raises OutputError."""
    lines = ["# MIDI notes and controllers of `livestyle webcam`; delete this file for the default"]
    lines += [f"{name}: {source}" for name, source in mapping.items()]
    make_folders([path])
    write_whole(path, ("\n".join(lines) + "\n").encode())


class MidiEvents(Protocol):
    """Gives the events of a MIDI port."""

    def events(self) -> list[Event]:
        """Return the events since the last call."""


class MidiMapper:
    """Makes messages of the events of a MIDI port. While the user has it learn, each event maps a control instead.

    path: the mapping file, which is read, and written after learning.

    Raises InputError if the file is not a mapping.
    """

    def __init__(self, port: MidiEvents, path: Path) -> None:
        self.mapping = read_mapping(path)
        self.prompt = ""
        """What the user is to do next while learning, and then where the mapping was saved."""
        self._port, self._path = port, path
        self._place: int | None = None  # of the control in CONTROLS that is being learnt
        self._learnt: Mapping = {}

    @property
    def is_learning(self) -> bool:
        """Whether the next note or controller is mapped to a control."""
        return self._place is not None

    def received(self) -> list[Message]:
        """Return the messages since the last call. Raises OutputError if the mapping cannot be saved."""
        messages = []
        for event in self._port.events():
            if self._place is None:
                message = message_of(event, self.mapping)
                messages += [] if message is None else [message]
            else:
                self._learn(event.source, self._place)
        return messages

    def learn_next(self) -> None:
        """Begin to learn, or go on to the next control. After the last one, save. Raises OutputError if that fails."""
        self._place = 0 if self._place is None else self._place + 1
        if self._place == len(CONTROLS):
            self._finish()
            return
        control = CONTROLS[self._place]
        action = {"choice": "play the note of the first one", "amount": "move a controller"}
        self.prompt = f"learn {control.name}: {action.get(control.kind, 'play a note or move a controller')}   l: next"

    def _learn(self, source: Source, place: int) -> None:
        # a controller that moves sends many events; the same one is not mapped twice
        if source not in self._learnt.values() and fits(CONTROLS[place], source):
            self._learnt[CONTROLS[place].name] = source
            self.learn_next()

    def _finish(self) -> None:
        learnt, self._learnt, self._place = self._learnt, {}, None
        if not learnt:
            self.prompt = "nothing was learnt"
            return
        kept = {name: source for name, source in self.mapping.items() if source not in learnt.values()}
        self.mapping = kept | learnt
        self.prompt = ""
        write_mapping(self._path, self.mapping)
        self.prompt = f"saved {self._path}"
