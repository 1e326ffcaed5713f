"""The outputs of a live run that are named in its job: files, network streams, the virtual camera, standard output."""

import sys
from collections.abc import Collection
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from livestyle.errors import OutputError, hide_stream_key
from livestyle.frame import Sink, StreamInfo
from livestyle.jobs.live.recorder import Recorder
from livestyle.sinks.raw import RawFrames
from livestyle.sound import Sound
from livestyle.streaming.fan_out import FanOut, Output, Policy

JOIN_TIMEOUT_SECONDS = 0.7
"""How long to wait at the end for an output that is not a file: its receiver may no longer take data."""
STDOUT, CAMERA = "-", "camera"


class LiveSink(Sink, Protocol):
    """A sink that is not a file."""

    damage: list[str]
    """What was not sent, one line each; complete once it is closed."""

    @property
    def state(self) -> str:
        """The state, to be displayed; empty if there is nothing to say. Any thread may read it."""


class Outputs:
    """The outputs of a run that are named in its job, with a thread each. If one fails, the others go on.

    fan_out: when an output fails, its on_failure must call `failed` with the name, if it is `in` this object.
    info: describes the frames. sound: the sound of the source; None if it has none.
    """

    def __init__(self, fan_out: FanOut, info: StreamInfo, sound: Sound | None) -> None:
        self._fan_out, self._info, self._sound = fan_out, info, sound
        self._recorders: dict[str, Recorder] = {}  # by output name
        self._ended: list[Recorder] = []
        self._sinks: dict[str, LiveSink] = {}
        self._targets: set[str] = set()
        self._labels: dict[str, str] = {}  # the names on the screen, by output name; also of outputs that have failed
        self._damage: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._recorders or name in self._sinks

    def __len__(self) -> int:
        """The number of outputs that have not failed."""
        return len(self._recorders) + len(self._sinks)

    def add(self, target: str, overwrite: bool = False) -> None:
        """Write the next frames to a file, a URL, the "camera", or "-" (raw frames to standard output) as well.

        overwrite: whether an existing file may be replaced. Raises OutputError if it cannot be opened.
        """
        name = hide_stream_key(target)
        if target in self._targets:
            raise OutputError(f"the output {name} is named twice")
        self._targets.add(target)
        name = _unused(name, self._labels)  # two streams may differ in their keys only
        if is_file(target):
            recorder = Recorder(self._fan_out, self._info, self._sound, name)
            recorder.start(Path(target), overwrite)
            self._recorders[name] = recorder
            self._labels[name] = _unused(Path(target).name, self._labels.values())
            return
        sink = open_sink(target, self._info, self._sound)
        self._sinks[name] = sink
        self._labels[name] = _unused({STDOUT: "stdout"}.get(target) or _host(target) or target, self._labels.values())
        self._fan_out.add(Output(name, sink, Policy.DROP_OLDEST, JOIN_TIMEOUT_SECONDS))

    def states(self) -> dict[str, str]:
        """The state of each output, by its name on the screen. A recording's is its duration."""
        states = {self._labels[name]: _duration(recorder.seconds) for name, recorder in self._recorders.items()}
        return states | {self._labels[name]: sink.state for name, sink in self._sinks.items()}

    def failed(self, name: str, error: BaseException) -> OutputError:
        """Remove an output that has failed. Returns the error to report."""
        if name in self._recorders:
            recorder = self._recorders.pop(name)
            self._ended.append(recorder)
            return recorder.failed(error)
        self._damage += self._sinks.pop(name).damage
        return OutputError(f"{name} has stopped: {error}")

    def complete(self) -> list[OutputError]:
        """Complete the files. Returns the errors of those that cannot be completed."""
        errors = []
        for name in list(self._recorders):
            recorder = self._recorders.pop(name)
            self._ended.append(recorder)
            try:
                recorder.stop()
            except OutputError as error:
                errors.append(error)
        return errors

    @property
    def recorders(self) -> list[Recorder]:
        """Those of all files, including files that are complete or have failed."""
        return [*self._recorders.values(), *self._ended]

    @property
    def notes(self) -> list[str]:
        return [note for sink in self._sinks.values() for note in sink.notes]

    @property
    def damage(self) -> list[str]:
        return self._damage + [line for sink in self._sinks.values() for line in sink.damage]


def is_file(target: str) -> bool:
    """Whether the target of an output is the path of a file."""
    return target not in (STDOUT, CAMERA) and "://" not in target


def open_sink(target: str, info: StreamInfo, sound: Sound | None) -> LiveSink:
    """Open an output that is not a file. Raises OutputError."""
    if target == STDOUT:
        return RawFrames(sys.stdout.buffer, info)
    if target == CAMERA:
        from livestyle.sinks.virtual_camera import open_virtual_camera

        return open_virtual_camera(info)
    from livestyle.sinks.video.network import NetworkStream

    return NetworkStream(target, info, sound)


def _host(url: str) -> str | None:
    with suppress(ValueError):
        return urlsplit(url).hostname
    return None


def _unused(name: str, used: Collection[str]) -> str:
    """The name, or "NAME (2)", "NAME (3)" ... if it is used."""
    names = chain([name], (f"{name} ({number})" for number in count(2)))
    return next(each for each in names if each not in used)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"
