"""Run the messages of OSC programs and of a MIDI controller."""

import math
from collections.abc import Sequence
from contextlib import ExitStack, closing

from livestyle.errors import DeviceError, InputError, LivestyleError
from livestyle.jobs.live.controls import MESSAGE_SECONDS, Controls
from livestyle.jobs.live.cues import Cue
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.recorder import Recorder
from livestyle.jobs.live.remote.messages import CONTROLS, Message, chosen
from livestyle.jobs.live.remote.midi import MidiInput
from livestyle.jobs.live.remote.midi_mapping import MidiMapper, mapping_path
from livestyle.jobs.live.remote.osc import OscReceiver


class Receivers:
    """The open receivers of a run. Close them after use.

    osc: the address to receive OSC messages at, as in OscReceiver; None for none.
    midi: a part of the name of a MIDI port; None for none.

    Raises InputError and DeviceError as OscReceiver, MidiInput and MidiMapper do.
    """

    def __init__(self, osc: str | None = None, midi: str | None = None) -> None:
        with ExitStack() as opened:
            self.osc = None if osc is None else opened.enter_context(closing(OscReceiver(osc)))
            self.midi = None if midi is None else opened.enter_context(closing(MidiInput(midi)))
            self.mapper = None if self.midi is None else MidiMapper(self.midi, mapping_path())
            self._opened = opened.pop_all()

    @property
    def dropped(self) -> int:
        """Messages dropped because newer ones arrived before they were read."""
        return sum(receiver.dropped for receiver in (self.osc, self.midi) if receiver is not None)

    def close(self) -> None:
        """End the threads of the receivers. Idempotent."""
        self._opened.close()


class RemoteControl:
    """Runs received messages. Use it only in the screen's thread.

    cues: those that messages fire, by name or by number.
    """

    def __init__(
        self, receivers: Receivers, controls: Controls, looks: LookControl, recorder: Recorder, cues: Sequence[Cue] = ()
    ) -> None:
        self._receivers, self._controls, self._looks, self._recorder, self._cues = receivers, controls, looks, recorder, cues
        self._osc, self._mapper = receivers.osc, receivers.mapper
        self._prompt = ""
        self._ignored = 0
        self._last_error: InputError | None = None

    @property
    def notes(self) -> list[str]:
        """One line on the messages that were ignored, and one on those that were dropped, if there were any."""
        ignored, dropped = self._ignored, self._receivers.dropped
        notes = [f"remote messages that were ignored: {ignored}; the last one: {self._last_error}"] if ignored else []
        return notes + ([f"remote messages that were dropped, as they came too fast: {dropped}"] if dropped else [])

    def follow(self) -> None:
        """Run the messages received since the last call. The controls show errors."""
        messages: list[Message | InputError] = []
        try:
            messages += [] if self._osc is None else self._osc.received()
            messages += [] if self._mapper is None else self._mapper.received()
        except DeviceError as error:  # the run goes on without OSC
            self._osc = None
            self._controls.fail(error)
        except LivestyleError as error:
            self._controls.fail(error)
        for message in _without_outdated(messages):
            self._run(message)
        self._show_prompt()

    def learn_next(self) -> None:
        """Begin to learn the notes and controllers of the MIDI controller, or go on to the next control."""
        assert self._mapper is not None
        try:
            self._mapper.learn_next()
        except LivestyleError as error:
            self._controls.fail(error)
        self._show_prompt()

    def _show_prompt(self) -> None:
        if self._mapper is not None and self._mapper.prompt != self._prompt:
            self._prompt = self._mapper.prompt
            self._controls.show_message(self._prompt, math.inf if self._mapper.is_learning else MESSAGE_SECONDS)

    def _run(self, message: Message | InputError) -> None:
        """Run a message. One that is wrong is counted and shown, but is no error of the run: anyone can send one."""
        try:
            if isinstance(message, InputError):
                raise message
            self._act(message)
        except InputError as error:
            self._ignored += 1
            self._last_error = error
            self._controls.show_message(str(error).split("; ")[0])
        except LivestyleError as error:
            self._controls.fail(error)

    def _act(self, message: Message) -> None:
        """Change the control of a checked message.

        Raises InputError if there is no such style or cue, or if the last two styles cannot be blended; other LivestyleErrors
        if a style's file is broken, or if a recording cannot be started.
        """
        match message.control, message.argument:
            case "cue", choice:
                names = [cue.name for cue in self._cues]
                self._controls.fire(self._cues[names.index(chosen(choice, names, "cue"))])
            case "record", state:
                if state != self._recorder.is_on:
                    self._controls.toggle_recording("")
            case _:
                self._looks.run(message)


def _without_outdated(messages: Sequence[Message | InputError]) -> list[Message | InputError]:
    """Leave out amounts and switches that a later message sets again: a flood must not start 64 recordings before a frame."""
    # each choice counts, as a blend is of the last two styles
    choices = [control.name for control in CONTROLS if control.kind == "choice"]
    newest = {message.control: message for message in messages if isinstance(message, Message)}
    return [
        message
        for message in messages
        if isinstance(message, InputError) or message.control in choices or message is newest[message.control]
    ]
