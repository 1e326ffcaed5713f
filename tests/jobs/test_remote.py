"""Remote control of live runs: real OSC packets on loopback, MIDI ports, mapping files, hostile input, and a whole session."""

import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from clock import Clock

from livestyle.errors import DeviceError, InputError, OutputError
from livestyle.frame import Frame
from livestyle.jobs.live.cues import Cue, Show
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.loop import LiveLoop
from livestyle.jobs.live.remote.messages import CONTROLS, LARGEST_NUMBER, QUEUE_LENGTH, Message, check_message
from livestyle.jobs.live.remote.midi import MidiInput
from livestyle.jobs.live.remote.midi_mapping import (
    DEFAULT,
    Event,
    MidiMapper,
    Source,
    mapping_path,
    message_of,
    read_mapping,
    write_mapping,
)
from livestyle.jobs.live.remote.osc import OscReceiver, parse_address
from livestyle.jobs.live.remote.remote_control import Receivers
from livestyle.jobs.live.session import LiveJob, LiveResult, LiveSession
from livestyle.sinks.window import NoWindow
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Paced, Pausable
from livestyle.streaming.working_size import WorkingSize
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer

pytest.importorskip("pythonosc", reason="needs the extra control")
mido = pytest.importorskip("mido", reason="needs the extra control")

import midi_ports  # noqa: E402  # imports mido
from pythonosc.osc_bundle_builder import OscBundleBuilder  # noqa: E402
from pythonosc.osc_message import OscMessage  # noqa: E402
from pythonosc.osc_message_builder import OscMessageBuilder  # noqa: E402
from pythonosc.udp_client import SimpleUDPClient  # noqa: E402

CUES = [Cue("drop", "birch", 0.5, fade_seconds=0), Cue("calm", strength=0.25)]


def osc_message(address: str, arguments: Sequence[Any]) -> OscMessage:
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(argument)
    return builder.build()


def until(condition: Callable[[], object], step: Callable[[], object] = lambda: None) -> None:
    """Repeat a step until the condition is true, which another thread or process makes so."""
    for _ in range(2000):
        step()
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("the condition did not become true")


@pytest.fixture(autouse=True)
def config_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the user's configuration folder."""
    folder = tmp_path / "config"
    monkeypatch.setattr("platformdirs.user_config_path", lambda name: folder)
    return folder


@pytest.fixture
def stylizer(style_folder: Path) -> Stylizer:
    return Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder]))


class Run:
    """A live loop with receivers, and an OSC program that sends to it. The loop's clock stands still."""

    def __init__(self, stylizer: Stylizer, folder: Path, osc: str | None = "0", midi: str | None = None) -> None:
        source = Pausable(Paced(DemoScene(48, 32, rate=10)))
        self.looks = LookControl(stylizer, stylizer.load_all(), stylizer.default_look)
        self.printed: list[str] = []
        self.receivers = Receivers(osc, midi)
        self.loop = LiveLoop(
            *(self.looks, source, WorkingSize(source), NoWindow(), folder),
            lambda error: self.printed.append(str(error)),
            Clock(),
        )
        self.loop.receive(self.receivers, CUES)
        if self.receivers.osc is not None:
            self.sender = SimpleUDPClient("127.0.0.1", self.receivers.osc.port)

    @property
    def message(self) -> str:
        return self.loop.controls.overlay().message

    def send(self, control: str, *arguments: object) -> None:
        self.sender.send_message(f"/livestyle/{control}", list(arguments))  # type: ignore[arg-type]

    def until(self, condition: Callable[[], object]) -> None:
        until(condition, self.loop.follow_remote)

    def close(self) -> None:
        self.receivers.close()
        self.loop.close()


@pytest.fixture
def run(stylizer: Stylizer, tmp_path: Path) -> Iterator[Run]:
    with closing(Run(stylizer, tmp_path)) as run:
        yield run


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("livestyle")]


# OSC


def test_osc_messages_change_the_look(run: Run) -> None:
    looks = run.looks
    run.send("fade", 0.0)
    run.until(lambda: looks.fade_seconds == 0)
    run.send("style", "birch")
    run.until(lambda: looks.look.name == "birch")
    run.send("style", 1.0)  # many controllers send every number as a float
    run.until(lambda: looks.look.name == "ash")
    run.send("blend", 0.25)  # of birch and ash
    run.until(lambda: looks.look.name == "birch:0.8,ash:0.2")
    run.send("strength", 0.5)
    run.until(lambda: looks.look.strength == 0.5)
    for arguments, state in ([True], True), ([1], True), ([0.0], False), ([], True), ([], False):
        run.send("colours", *arguments)
        run.until(lambda state=state: looks.look.keep_colors == state)  # type: ignore[misc]
    run.send("cue", "drop")
    run.until(lambda: (looks.look.name, looks.look.strength) == ("birch", 0.5))
    assert "cue drop" in run.loop.controls.overlay().status
    run.send("cue", 2)
    run.until(lambda: looks.look.strength == 0.25)
    assert run.printed == []
    run.close()
    assert run.loop.notes == []


def test_every_control_has_an_action(run: Run) -> None:
    """Each message of the table changes the state of the run, which is printed as text."""

    def state() -> tuple[object, ...]:
        return run.looks.look, run.looks.fade_seconds, run.loop.recorder.is_on

    run.looks.select("birch")
    for control in CONTROLS:
        before = state()
        arguments = {"choice": [1], "amount": [0.75], "switch": []}[control.kind]
        run.sender.send_message(control.address, arguments)
        run.until(lambda before=before: state() != before)  # type: ignore[misc]


def test_osc_starts_and_stops_recordings(run: Run) -> None:
    recorder = run.loop.recorder
    run.send("record", 1)
    run.until(lambda: recorder.is_on)
    assert run.message.startswith("recording ")
    run.send("record", 1)
    run.send("strength", 0.5)
    run.until(lambda: run.looks.look.strength == 0.5)
    assert recorder.is_on
    run.send("record", 0)
    run.until(lambda: not recorder.is_on)


def test_only_the_newest_of_each_amount_and_switch_is_run_before_a_frame(run: Run, tmp_path: Path) -> None:
    builder = OscBundleBuilder(0)  # type: ignore[arg-type]
    sent = [("record", 1), ("record", 0), ("style", 2), ("style", 1), ("blend", 0.0), ("record", 1), ("fade", 2)]
    for control, argument in sent:
        builder.add_content(osc_message(f"/livestyle/{control}", [argument]))
    run.sender.send(builder.build())
    until(lambda: run.receivers.osc is not None and run.receivers.osc._received.received == len(sent))
    run.until(lambda: run.looks.fade_seconds == 2)
    assert [path.name for path in run.loop.recorder.paths] == ["webcam-001.mp4"]
    assert run.loop.recorder.notes == []
    assert run.looks.look.name == "birch"  # the share of ash, the last style, is 0


def test_recording_that_cannot_start_is_an_error_of_the_run(stylizer: Stylizer, tmp_path: Path) -> None:
    with closing(Run(stylizer, tmp_path / "nowhere")) as run:
        run.send("record", 1)
        run.until(lambda: run.printed)
        assert "cannot write" in run.printed[0]


def test_repeated_style_message_does_not_restart_the_crossfade(run: Run) -> None:
    run.send("style", "birch")
    run.until(lambda: run.looks.look.name == "birch")
    fade = run.looks._fade
    run.send("style", "birch")
    run.send("fade", 3)
    run.until(lambda: run.looks.fade_seconds == 3)
    assert run.looks._fade is fade


@pytest.mark.parametrize(
    ("control", "arguments", "message"),
    [
        ("style", ["no such style"], "there is no style 'no such style'"),
        ("style", [4], "there is no style 4"),
        ("cue", [3], "there is no cue 3"),
        ("blend", [0.5], "select another style first"),
        ("strength", [2.0], "/livestyle/strength takes 0..1, not 2.0"),
        ("volume", [1], "there is no control '/livestyle/volume'"),
    ],
)
def test_wrong_message_is_shown_and_is_no_error_of_the_run(
    run: Run, control: str, arguments: list[object], message: str
) -> None:
    run.send(control, *arguments)
    run.until(lambda: run.message.startswith(message))
    assert run.printed == []
    run.close()
    assert run.loop.notes[0].startswith(f"remote messages that were ignored: 1; the last one: {message}")


@pytest.mark.parametrize(
    ("control", "arguments"),
    [
        *(("strength", [value]) for value in (-0.1, 1.1, float("nan"), float("inf"), True, "0.5", None, b"\0", [0.5])),
        *(("strength", values) for values in ([], [0.5, 0.5])),
        *(("style", [value]) for value in (0, -1, 1.5, LARGEST_NUMBER + 1, float("nan"), float("inf"), 1e300, True)),
        *(("style", [value]) for value in ("", "a" * 101)),
        *(("colours", [value]) for value in (2, 0.5, "on", float("nan"), None)),
        ("fade", [10.5]),
        ("", [1]),
        ("style/", [1]),
        ("*", [1]),
    ],
)
def test_argument_of_the_wrong_type_or_range_is_refused(control: str, arguments: Sequence[object]) -> None:
    with pytest.raises(InputError) as error:
        check_message(f"/livestyle/{control}", arguments)
    assert len(str(error.value)) < 400


def test_bundle_is_run_at_once_whatever_its_time(run: Run) -> None:
    inner, outer = OscBundleBuilder(time.time() + 3600), OscBundleBuilder(time.time() + 3600)  # type: ignore[arg-type]
    inner.add_content(osc_message("/livestyle/strength", [0.5]))
    outer.add_content(osc_message("/livestyle/style", [2]))
    outer.add_content(inner.build())
    run.sender.send(outer.build())
    run.until(lambda: (run.looks.look.name, run.looks.look.strength) == ("birch", 0.5))


def bundle(*parts: bytes) -> bytes:
    return b"#bundle\0" + bytes(8) + b"".join(struct.pack(">i", len(part)) + part for part in parts)


def nested(depth: int) -> bytes:
    packet = osc_message("/livestyle/strength", [0.1]).dgram
    for _ in range(depth):
        packet = bundle(packet)
    return packet


def hostile_packets() -> list[bytes]:
    rng = random.Random(0)
    good = osc_message("/livestyle/style", ["ash", 1, 0.5]).dgram
    packets = [b"", b"/", b"/livestyle/strength", b"/livestyle/strength\0", b"/livestyle/strength\0,d\0\0\0"]
    packets += [b"#bundle\0", b"#bundle\0" + bytes(8) + b"\0\0\0", bytes(8) + good, good[:-1], good + b"\xff"]
    packets += [b"/\xff\xfe\0,s\0\0\xff\xff\xff\0", b"/livestyle/style\0\0\0\0,s\0\0\xff\xfe\0\0"]
    packets += [b"#bundle\0" + bytes(8) + struct.pack(">i", size) for size in (-4, -(2**31), 0, 2**31 - 1, 5)]
    packets += [bundle(good, b"")[:-2], bundle(b"\0" * 8), nested(5), nested(100)]
    packets += [osc_message("/livestyle/style", ["x" * size]).dgram for size in (3000, 60_000)]
    packets += [osc_message("/" + "x" * 3000, [1]).dgram, osc_message("/livestyle/strength", [[[0.5]]]).dgram]
    packets += [b"/livestyle/strength\0," + b"f" * 2000 + bytes(2000), b"/livestyle/strength\0,zzz\0\0\0\0"]
    packets += [b"/livestyle/strength\0,N\0\0", b"/livestyle/strengt\0,f\0\0,Y\0", b"/livestyle/style\0,s\0\0\0\0\0,Yes\0\0\0\0"]
    for kind, value in (("b", b"blob"), ("m", (1, 2, 3, 4)), ("r", 5), ("d", float("nan")), ("h", 2**62)):
        builder = OscMessageBuilder("/livestyle/strength")
        builder.add_arg(value, kind)  # type: ignore[arg-type]
        packets.append(builder.build().dgram)
    packets += [rng.randbytes(rng.randrange(200)) for _ in range(200)]
    packets += [b"/livestyle/" + rng.randbytes(rng.randrange(60)) for _ in range(200)]
    for _ in range(200):  # good packets with a few wrong bytes
        damaged = bytearray(bundle(good, good))
        for _ in range(3):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        packets.append(bytes(damaged))
    return packets


def test_hostile_packets_are_refused_and_nothing_is_printed(
    run: Run, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for packet in hostile_packets():
        run.sender._sock.sendto(packet, ("127.0.0.1", run.sender._port))
        run.loop.follow_remote()
        assert run.looks.look.strength == 1

    def send_good() -> None:
        run.send("strength", 0.5)  # again and again, as the system drops packets when its buffer is full
        run.loop.follow_remote()

    until(lambda: run.looks.look.strength == 0.5, send_good)
    assert run.printed == []
    run.close()
    assert len(run.loop.notes) <= 2
    assert all(len(note) < 500 and note.isprintable() for note in run.loop.notes)
    assert "".join(capfd.readouterr()) == ""
    assert caplog.records == []


def test_flood_keeps_the_newest_messages_and_counts_the_dropped_ones(run: Run) -> None:
    assert run.receivers.osc is not None
    count = 16 * QUEUE_LENGTH  # in packets that the system's buffer holds, in case the thread is slow
    messages = [osc_message("/livestyle/strength", [number / count]).dgram for number in range(count)]
    for start in range(0, count, 50):
        run.sender._sock.sendto(bundle(*messages[start : start + 50]), ("127.0.0.1", run.sender._port))
    run.send("fade", 7)
    until(lambda: run.receivers.dropped == count + 1 - QUEUE_LENGTH)  # before any is run
    run.loop.follow_remote()
    assert (run.looks.look.strength, run.looks.fade_seconds) == (pytest.approx((count - 1) / count), 7)
    run.close()
    assert run.loop.notes == [f"remote messages that were dropped, as they came too fast: {count + 1 - QUEUE_LENGTH}"]


def test_messages_come_from_this_machine_only_unless_a_host_is_given() -> None:
    assert parse_address("9000") == ("127.0.0.1", 9000)
    assert parse_address("0.0.0.0:9000") == ("0.0.0.0", 9000)
    assert parse_address("[::1]:9000") == ("::1", 9000)
    assert parse_address("studio.local:65535") == ("studio.local", 65535)
    with closing(OscReceiver("0")) as receiver:
        assert receiver._socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("address", ["", ":", "host", "65536", "-1", "9000x", ":9000", "host:", "٣", "1" * 5000])
def test_wrong_address_is_an_input_error(address: str) -> None:
    with pytest.raises(InputError, match=r"is not an OSC address; write a port"):
        OscReceiver(address)


def test_address_that_cannot_be_bound_is_a_device_error() -> None:
    with closing(OscReceiver("0")) as receiver:
        port = receiver.port
        with pytest.raises(DeviceError, match=rf"cannot receive OSC messages at 127.0.0.1:{port}: .*in use; use another port"):
            OscReceiver(str(port))
    with closing(OscReceiver(str(port))):  # free again
        pass
    for host in ("192.0.2.1", "a..b", "x" * 100):  # of no machine; not host names
        with pytest.raises(DeviceError, match=r"cannot receive OSC messages at .*an address of this machine"):
            OscReceiver(f"{host}:0")
    assert threads() == []


def test_port_that_fails_is_reported_once_and_the_run_goes_on(run: Run) -> None:
    assert run.receivers.osc is not None
    run.receivers.osc._socket.close()
    run.until(lambda: run.printed)
    run.loop.controls.show_message("of something else")
    run.loop.follow_remote()
    assert run.message == "of something else"
    assert [line.split(":")[0] for line in run.printed] == ["OSC messages are no longer received"]


@pytest.mark.parametrize(
    ("module", "receivers", "command"),
    [
        ("pythonosc.osc_message", {"osc": "0"}, "pip install python-osc"),
        ("mido", {"midi": "nano"}, "pip install mido python-rtmidi"),
        ("rtmidi", {"midi": "nano"}, "pip install python-rtmidi"),
    ],
)
def test_missing_library_is_an_error_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, module: str, receivers: dict[str, str], command: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mido"]:  # it keeps its backend once it is loaded
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeviceError, match=command):
        Receivers(**receivers)
    assert threads() == []


# MIDI


def note(number: int, velocity: int = 100) -> Event:
    return Event(Source("note", number), velocity)


def controller(number: int, value: int) -> Event:
    return Event(Source("controller", number), value)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (note(60), Message("style", 1)),
        (note(62), Message("style", 3)),
        (note(127), Message("style", 68)),
        (note(36), Message("cue", 1)),
        (note(59), Message("cue", 24)),
        (note(34), Message("colours", None)),
        (note(35), Message("record", None)),
        (note(33), None),
        (controller(1, 0), Message("strength", 0.0)),
        (controller(1, 127), Message("strength", 1.0)),
        (controller(2, 64), Message("blend", pytest.approx(64 / 127))),
        (controller(3, 127), Message("fade", 10.0)),
        (controller(60, 1), None),
    ],
)
def test_default_mapping_of_notes_and_controllers(event: Event, message: Message | None) -> None:
    assert message_of(event, DEFAULT) == message


def test_switch_can_be_a_controller() -> None:
    mapping = {"record": Source("controller", 9)}
    states = [message_of(controller(9, value), mapping) for value in (0, 63, 64, 127)]
    assert states == [Message("record", state) for state in (False, False, True, True)]
    assert message_of(note(60), mapping) is None


def test_mapping_of_the_default_has_every_control_once() -> None:
    assert list(DEFAULT) == [control.name for control in CONTROLS]
    assert len(set(DEFAULT.values())) == len(DEFAULT)


def test_mapping_file_round_trip(config_folder: Path) -> None:
    path = mapping_path()
    assert path == config_folder / "midi.yml"
    assert read_mapping(path) == DEFAULT
    mapping = {"style": Source("note", 0), "blend": Source("controller", 127), "record": Source("note", 5)}
    write_mapping(path, mapping)
    assert read_mapping(path) == mapping
    write_mapping(path, DEFAULT)
    assert read_mapping(path) == DEFAULT
    assert [each.name for each in config_folder.iterdir()] == ["midi.yml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no keys"),
        ("- note 1", "no keys"),
        ("volume: note 1", "line 1: there is no control 'volume'; use style, blend"),
        ("style: note 128", "line 1: style: write a note"),
        ("style: note -1", "line 1: style: write a note"),
        ("style: 60", "line 1: style: write a note"),
        ("\nstyle: [note 1]", "line 2: style: write a note"),
        ("style: pedal 1", "line 1: style: write a note"),
        ("style: note 1\nstyle: note 2", "line 2: 'style' is a duplicate key"),
        ("colours: note 1\nrecord: note 1", "line 2: note 1 is in use already"),
        ("style: controller 1", "line 1: style cannot be a controller"),
        ("strength: note 1", "line 1: strength cannot be a note"),
        ("style: &a note 1", "anchors"),
        ("style: !!python/object:os.system note 1", "tag"),
        ("style: note ١", "line 1: style: write a note"),
        ("a: " * 50, "midi.yml"),
        ("#" * 200_000, "larger than"),
    ],
)
def test_hostile_mapping_file_is_an_input_error(config_folder: Path, text: str, message: str) -> None:
    config_folder.mkdir()
    mapping_path().write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"midi\.yml") as error:
        read_mapping(mapping_path())
    assert message in str(error.value)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of two MIDI ports in memory."""
    monkeypatch.setattr(midi_ports, "NAMES", ["Through Port-0", "nanoKONTROL2 1", "nanoKONTROL2 2"])
    mido.set_backend("midi_ports")
    yield midi_ports.NAMES
    mido.set_backend("mido.backends.rtmidi")


def test_part_of_the_name_opens_the_port(ports: list[str]) -> None:
    for name, opened in ("nanokontrol", ports[1]), ("nanoKONTROL2 2", ports[2]), ("", ports[0]):
        with closing(MidiInput(name)) as port:
            assert port.name == opened
            assert list(midi_ports.OPEN) == [opened]
        assert midi_ports.OPEN == {}


def test_missing_port_is_an_error_that_lists_the_ports(ports: list[str]) -> None:
    with pytest.raises(DeviceError, match=r"no MIDI port has 'launch' in its name; there are: Through Port-0, nanoKONTROL2 1"):
        MidiInput("launch")
    ports.clear()
    with pytest.raises(DeviceError, match="there are none; is the controller plugged in"):
        MidiInput("launch")


def test_receivers_close_what_is_open_if_one_cannot_be_opened(ports: list[str], config_folder: Path) -> None:
    with pytest.raises(DeviceError, match="no MIDI port"):
        Receivers("0", "launch")
    config_folder.mkdir()
    mapping_path().write_text("style: 1")
    with pytest.raises(InputError, match="line 1"):
        Receivers("0", "nano")
    assert midi_ports.OPEN == {}
    assert threads() == []


def test_only_notes_that_begin_and_controllers_are_events(ports: list[str]) -> None:
    with closing(MidiInput("nano")) as port:
        for kind in ("clock", "sysex", "pitchwheel", "program_change", "aftertouch", "note_off"):
            midi_ports.play(port.name, kind)
        midi_ports.play(port.name, "note_on", note=60, velocity=0)
        assert port.events() == []
        midi_ports.play(port.name, "note_on", note=60, velocity=9, channel=3)
        midi_ports.play(port.name, "control_change", control=7, value=5, channel=15)
        assert port.events() == [note(60, 9), controller(7, 5)]
        for value in range(100):
            midi_ports.play(port.name, "control_change", control=7, value=value)
        assert port.dropped == 100 - QUEUE_LENGTH
        assert port.events() == [controller(7, value) for value in range(100)][-QUEUE_LENGTH:]


def test_midi_changes_the_look(stylizer: Stylizer, tmp_path: Path, ports: list[str]) -> None:
    with closing(Run(stylizer, tmp_path, None, "nano")) as run:
        midi_ports.play(ports[1], "note_on", note=61)
        midi_ports.play(ports[1], "control_change", control=1, value=0)
        midi_ports.play(ports[1], "note_on", note=34)
        run.loop.follow_remote()
        look = run.looks.look
        assert (look.name, look.strength, look.keep_colors) == ("birch", 0, True)
        midi_ports.play(ports[1], "note_on", note=63)
        run.loop.follow_remote()
        assert run.message == "there is no style 4"


def test_key_learns_notes_and_controllers(stylizer: Stylizer, tmp_path: Path, ports: list[str], config_folder: Path) -> None:
    with closing(Run(stylizer, tmp_path, None, "nano")) as run:

        def play(kind: str, **values: int) -> str:
            midi_ports.play(ports[1], kind, **values)
            run.loop.follow_remote()
            return run.message

        def press() -> str:
            run.loop.controls.press("l")
            return run.message

        assert press() == "learn style: play the note of the first one   l: next"
        assert play("control_change", control=7, value=1) == "learn style: play the note of the first one   l: next"
        assert play("note_on", note=10).startswith("learn blend: move a controller")
        assert play("note_on", note=11).startswith("learn blend: move a controller")
        assert play("control_change", control=20, value=1).startswith("learn strength: ")
        assert play("control_change", control=20, value=2).startswith("learn strength: ")  # the same one moves on
        assert press().startswith("learn fade: ")
        assert press().startswith("learn cue: ")
        assert play("note_on", note=35).startswith("learn colours: play a note or move a controller")
        assert run.looks.look.name == "ash"
        assert press().startswith("learn record: ")
        assert not config_folder.exists()
        assert press() == f"saved {mapping_path()}"
        learnt = {"style": Source("note", 10), "blend": Source("controller", 20), "cue": Source("note", 35)}
        expected = {name: source for name, source in (DEFAULT | learnt).items() if name != "record"}  # note 35 is a cue's now
        assert read_mapping(mapping_path()) == expected
        play("note_on", note=11)
        assert run.looks.look.name == "birch"
        for _ in range(len(CONTROLS)):
            press()
        assert press() == "nothing was learnt"
    assert read_mapping(mapping_path()) == expected


def test_mapping_that_cannot_be_saved_is_reported_and_used(
    stylizer: Stylizer, tmp_path: Path, ports: list[str], config_folder: Path
) -> None:
    config_folder.write_text("not a folder")
    with closing(Run(stylizer, tmp_path, None, "nano")) as run:
        run.loop.controls.press("l")
        midi_ports.play(ports[1], "note_on", note=10)
        run.loop.follow_remote()
        for _ in range(len(CONTROLS) - 1):
            run.loop.controls.press("l")
        assert "cannot create the folder" in run.printed[0]
        midi_ports.play(ports[1], "note_on", note=12)
        run.loop.follow_remote()
        assert run.looks.look.name == "coal"


def test_saving_a_mapping_after_the_last_event_raises_in_the_caller(config_folder: Path) -> None:
    class Port:
        def events(self) -> list[Event]:
            return [note(number) for number in range(10)]

    config_folder.write_text("not a folder")
    mapper = MidiMapper(Port(), mapping_path())
    for _ in range(len(CONTROLS)):
        mapper.learn_next()
    with pytest.raises(OutputError, match="cannot create the folder"):
        mapper.received()  # the first event is learnt for the last control
    assert not mapper.is_learning


def test_key_without_a_controller_shows_a_message(run: Run) -> None:
    run.loop.controls.press("l")
    assert run.message == "no MIDI controller is open"


@pytest.fixture
def virtual_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """rtmidi with virtual ports: those of the system, or of a JACK server that runs without a sound card."""
    rtmidi = pytest.importorskip("rtmidi", reason="needs python-rtmidi")
    if sys.platform == "darwin" or Path("/dev/snd/seq").exists():
        yield
        return
    if shutil.which("jackd") is None or rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        pytest.skip("needs virtual MIDI ports: the ALSA sequencer, or jackd")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", f"livestyle-{os.getpid()}")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    server = subprocess.Popen(["jackd", "-r", "-d", "dummy"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def is_ready() -> bool:
        assert server.poll() is None, "jackd did not start"
        try:
            rtmidi.MidiIn(rtmidi.API_UNIX_JACK).delete()
        except rtmidi.RtMidiError:
            return False
        return True

    mido.set_backend("mido.backends.rtmidi/UNIX_JACK")
    try:
        until(is_ready)
        yield
    finally:
        mido.set_backend("mido.backends.rtmidi")
        server.terminate()
        server.wait()


def test_real_virtual_midi_port_changes_the_look(stylizer: Stylizer, tmp_path: Path, virtual_ports: None) -> None:
    keyboard = mido.open_output("livestyle test keyboard", virtual=True)
    until(lambda: any("livestyle test keyboard" in name for name in mido.get_input_names()))
    with closing(keyboard), closing(Run(stylizer, tmp_path, None, "livestyle test keyboard")) as run:
        keyboard.send(mido.Message("note_on", note=61))
        keyboard.send(mido.Message("control_change", control=1, value=127))
        keyboard.send(mido.Message("control_change", control=3, value=0))
        run.until(lambda: run.looks.fade_seconds == 0)
        assert run.looks.look.name == "birch"
        keyboard.send(mido.Message("note_on", note=61, velocity=0))
        keyboard.send(mido.Message("control_change", control=1, value=0))
        run.until(lambda: run.looks.look.strength == 0)
        assert run.printed == []


# whole sessions


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_session_driven_by_osc(stylizer: Stylizer, tmp_path: Path) -> None:
    port = free_port()
    sender = SimpleUDPClient("127.0.0.1", port)
    steps = [
        ("style", "birch", lambda status: status.startswith("birch   ")),
        ("strength", 0.5, lambda status: "strength 50%" in status),
        ("record", 1, lambda status: True),
        ("colours", 1, lambda status: "photo's colours" in status),
        ("cue", "drop", lambda status: "cue drop" in status),
        ("record", 0, lambda status: True),
        ("style", "no such style", lambda status: True),
    ]

    class Screen(NoWindow):
        """Sends the next message once the status shows the one before, and closes after the last one."""

        is_done: Callable[[str], bool] | None = None
        recorded: list[bool] = []  # noqa: RUF012
        last: Frame | None = None

        @property
        def is_open(self) -> bool:  # type: ignore[override]
            return bool(steps) or "no such style" not in self.overlay.message

        def write(self, frame: Frame) -> None:
            if frame is self.last:  # drawn again with other text: a recording gets no frame
                return
            self.last = frame
            self.recorded.append(bool(self.overlay.recording))
            if steps and (self.is_done is None or self.is_done(self.overlay.status)):
                control, argument, self.is_done = steps.pop(0)
                sender.send_message(f"/livestyle/{control}", argument)

    job = LiveJob("demo", "ash", (None, 36), osc=str(port), show=Show(tuple(CUES)), seconds=Fraction(60), folder=tmp_path)
    screen = Screen()
    result = LiveSession(job, screen).run(lambda: nullcontext(stylizer))
    assert steps == []
    assert result.frames < 300  # the message closed the screen, not the time
    assert any(screen.recorded)
    assert result.errors == ()
    assert [path.name for path in result.recordings] == ["webcam-001.mp4"], result.notes
    assert "remote messages that were ignored: 1; the last one: there is no style 'no such style'" in result.notes[-1]
    assert threads() == []
    with closing(OscReceiver(str(port))):  # free again
        pass


def test_session_whose_receivers_cannot_be_opened_raises_and_leaves_no_thread(stylizer: Stylizer) -> None:
    job = LiveJob("demo", "ash", (None, 36))
    with closing(OscReceiver("0")) as other:
        for wrong, error in ({"osc": str(other.port)}, DeviceError), ({"osc": "x"}, InputError):
            session = LiveSession(replace(job, **wrong), NoWindow())
            with pytest.raises(error):
                session.run(lambda: nullcontext(stylizer))
            assert session.result == LiveResult()
    assert threads() == []
