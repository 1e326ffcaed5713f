"""Microphones. Most tests use a stand-in for the module sounddevice: its device list, and its stream, whose callback they call.

The last one uses sounddevice, PortAudio and ALSA, with a device of ALSA that reads a named pipe instead of a sound card.
"""

import importlib.util
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clock import Clock

from livestyle.errors import DeviceError
from livestyle.frame import FloatArray
from livestyle.sound import RATE
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Paced, WithMicrophone
from livestyle.sources.microphone import Microphone

BLOCK = 480


class Stream:
    """The stand-in for sounddevice.InputStream."""

    def __init__(self, **settings: Any) -> None:
        self.settings, self.is_started, self.closed = settings, False, 0

    def start(self) -> None:
        self.is_started = True

    def close(self) -> None:
        self.closed += 1

    def give(self, samples: FloatArray, age_seconds: float = 0.02) -> None:
        """Call the callback with a block whose first sample is this old."""
        times = SimpleNamespace(currentTime=7.0, inputBufferAdcTime=7.0 - age_seconds)
        buffer = samples.reshape(-1, self.settings["channels"]).copy()
        self.settings["callback"](buffer, len(buffer), times, None)
        buffer[:] = np.nan  # it is valid during the callback only


class Library:
    """The stand-in for the module sounddevice."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        self.devices = [device(0, "Speaker", 0), device(1, "Built-in Mic", 1), device(2, "Desk: USB Audio", 8, 44_100)]
        self.rates = {48_000}
        self.streams: list[Stream] = []

    def query_devices(self, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        if len(self.devices) < 2:
            raise self.PortAudioError("Error querying device -1")
        return self.devices[1]

    def check_input_settings(self, index: int, channels: int, dtype: str, samplerate: int) -> None:
        if samplerate not in self.rates:
            raise self.PortAudioError("Invalid sample rate")

    def InputStream(self, **settings: Any) -> Stream:  # noqa: N802
        self.streams.append(Stream(**settings))
        return self.streams[-1]


def device(index: int, name: str, channels: int, rate: float = 48_000.0) -> dict[str, Any]:
    return {"index": index, "name": name, "max_input_channels": channels, "default_samplerate": rate}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return library


def end_of(microphone: Microphone) -> Fraction:
    end = microphone.sound.end_seconds
    assert end is not None
    return end


def play(stream: Stream, clock: Clock, seconds: float, card_rate: float = RATE, age_seconds: float = 0.02) -> None:
    """Give blocks of a tone of 100 Hz. card_rate: samples in a second of the clock."""
    for number in range(round(seconds * card_rate / BLOCK)):
        clock.now += BLOCK / card_rate
        stream.give(tone(number * BLOCK, BLOCK), age_seconds)


def tone(first: int, count: int) -> FloatArray:
    return np.sin(2 * np.pi * 100 * np.arange(first, first + count) / RATE).astype(np.float32)


# devices


def test_microphone_is_found_by_a_part_of_its_name(library: Library) -> None:
    microphone = Microphone("usb")
    assert microphone.name == "Desk: USB Audio"
    settings = library.streams[0].settings
    assert (settings["device"], settings["channels"], settings["samplerate"]) == (2, 2, 48_000)
    assert library.streams[0].is_started
    microphone.close()
    microphone.close()
    assert library.streams[0].closed == 1


def test_default_microphone(library: Library) -> None:
    assert Microphone().name == "Built-in Mic"
    assert library.streams[0].settings["channels"] == 1
    library.devices = [device(0, "Mic", 2)]  # no default
    assert Microphone().name == "Mic"


def test_names_that_do_not_exist_list_those_that_do(library: Library) -> None:
    with pytest.raises(DeviceError, match=r"there is no microphone hum; found: Built-in Mic, Desk: USB Audio$"):
        Microphone("hum")
    library.devices = [device(0, "Speaker", 0)]
    with pytest.raises(DeviceError, match="no microphone found"):
        Microphone()


def test_device_that_cannot_be_opened(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(stream: Stream) -> None:
        raise library.PortAudioError("Device unavailable [PaErrorCode -9985]")

    monkeypatch.setattr(Stream, "start", start)
    with pytest.raises(DeviceError, match=r"cannot open the microphone Built-in Mic: Device unavailable .*; is it in use"):
        Microphone()
    assert library.streams[0].closed == 1


def test_missing_package_and_missing_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match=r"pip install 'livestyle\[sound\]'"):
        Microphone()
    monkeypatch.delitem(sys.modules, "sounddevice")
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeviceError, match="apt install libportaudio2"):
        Microphone()


# samples and times


def test_one_channel_becomes_both_at_the_time_of_its_capture(library: Library) -> None:
    microphone = Microphone(clock=Clock())
    library.streams[0].give(tone(0, BLOCK), age_seconds=0.03)
    assert end_of(microphone) == Fraction(9998, 100)  # begins at 100 - 0.03 s, and lasts 0.01 s
    samples = microphone.sound.read(Fraction(9997, 100), Fraction(9998, 100))
    np.testing.assert_array_equal(samples, np.stack([tone(0, BLOCK)] * 2, axis=1))


@pytest.mark.parametrize("age_seconds", [7.0, -0.5], ids=["no time", "wrong time"])
def test_driver_without_times(library: Library, age_seconds: float) -> None:
    microphone = Microphone(clock=Clock())
    library.streams[0].give(tone(0, BLOCK), age_seconds)
    assert end_of(microphone) == 100


def test_jitter_of_the_callback_leaves_the_samples_as_they_are(library: Library) -> None:
    clock = Clock()
    microphone = Microphone(clock=clock)
    jitter = np.random.default_rng(1).uniform(0, 0.02, 300)
    for number, late in enumerate(jitter):
        clock.now = 100 + number * BLOCK / RATE + late
        library.streams[0].give(tone(number * BLOCK, BLOCK), age_seconds=0.01)
    end = end_of(microphone)
    samples = microphone.sound.read(end - Fraction(300 * BLOCK, RATE), end)
    np.testing.assert_array_equal(samples[:, 0], tone(0, 300 * BLOCK))


@pytest.mark.parametrize("card_rate", [RATE * 1.0005, RATE * 0.9995], ids=["fast", "slow"])
def test_sound_card_with_another_clock_stays_in_time(library: Library, card_rate: float) -> None:
    """After 60 s the clocks differ by 30 ms, which is corrected without a step."""
    clock = Clock()
    microphone = Microphone(clock=clock)
    play(library.streams[0], clock, 60, card_rate, age_seconds=0.01)
    assert float(end_of(microphone)) == pytest.approx(clock.now, abs=0.007)
    samples = microphone.sound.read(end_of(microphone) - 9, end_of(microphone))
    steepest = 2 * np.pi * 100 / RATE
    assert np.abs(np.diff(samples[:, 0])).max() < 1.01 * steepest
    assert np.abs(samples).max() > 0.99


def test_lost_samples_become_silence(library: Library) -> None:
    clock = Clock()
    microphone = Microphone(clock=clock)
    play(library.streams[0], clock, 1)
    clock.now += 0.5
    play(library.streams[0], clock, 1)
    assert float(end_of(microphone)) == pytest.approx(clock.now - 0.01, abs=0.001)
    silent = ~microphone.sound.read(Fraction(101), Fraction(102)).any(axis=1)
    assert 0.4 * RATE < silent.sum() < 0.6 * RATE


def test_a_late_first_block_is_corrected_and_the_sound_does_not_step_back(library: Library) -> None:
    clock = Clock()
    microphone = Microphone(clock=clock)
    library.streams[0].give(tone(0, BLOCK), age_seconds=-0.3)  # as the callback had to wait: counts as 0.01 s
    clock.now -= 0.2
    ends = []
    for _ in range(3):
        play(library.streams[0], clock, 1, age_seconds=0.01)
        ends.append(end_of(microphone))
    assert ends == sorted(ends)
    assert float(ends[-1]) == pytest.approx(clock.now, abs=0.055)


def test_device_with_another_rate_is_resampled(library: Library) -> None:
    library.rates = {44_100}
    microphone = Microphone("usb", clock=(clock := Clock()))
    assert library.streams[0].settings["samplerate"] == 44_100
    for number in range(100):
        clock.now += 0.01
        wave = np.sin(2 * np.pi * 1000 * np.arange(number * 441, (number + 1) * 441) / 44_100)
        library.streams[0].give(np.stack([wave, 0.5 * wave], axis=1).astype(np.float32), age_seconds=0.01)
    assert float(end_of(microphone)) == pytest.approx(101, abs=0.003)
    samples = microphone.sound.read(Fraction(1002, 10), Fraction(1007, 10))
    assert np.abs(samples).max(axis=0) == pytest.approx([1, 0.5], abs=0.01)
    spectrum = np.abs(np.fft.rfft(samples[:, 0]))
    assert spectrum.argmax() == 500  # of 0.5 s: 1 kHz


# states


def test_unplugged_microphone_is_reported_and_taken_up_again(library: Library) -> None:
    clock = Clock()
    microphone = Microphone(clock=clock)
    source = WithMicrophone(Paced(DemoScene(16, 8, rate=1), clock=clock, sleep=clock.sleep), microphone)
    play(library.streams[0], clock, 1)
    assert (microphone.state, source.state, source.damage) == ("", "", [])
    for _ in range(5):
        source.read()
    assert source.state == "no sound from the microphone"
    expected = "the microphone Built-in Mic has given no sound since 1 s after the start; is it plugged in?"
    assert source.damage == [expected]
    play(library.streams[0], clock, 1)
    source.read()
    assert (source.state, source.damage) == ("", [expected])
    source.close()
    assert library.streams[0].closed == 1


def test_microphone_that_gives_only_zeros_is_called_silent(library: Library) -> None:
    clock = Clock()
    microphone = Microphone(clock=clock)
    for _ in range(60):
        clock.now += 0.1
        library.streams[0].give(np.zeros(4800, np.float32))
    assert microphone.state == "the microphone is silent: muted, or not permitted"
    library.streams[0].give(tone(0, BLOCK))
    assert microphone.state == ""


def test_frames_have_their_capture_time_on_the_clock_of_the_sound(library: Library) -> None:
    clock = Clock()
    source = WithMicrophone(Paced(DemoScene(16, 8, rate=4), clock=clock, sleep=clock.sleep), Microphone())
    frames = [source.read() for _ in range(3)]
    assert [frame and frame.sound_seconds for frame in frames] == [100, 100.25, 100.5]


# a device of ALSA

LISTEN = """
import sys, time
from livestyle.sources.microphone import Microphone
microphone = Microphone("pipe")
begun_at = time.monotonic()
while float(microphone.sound.end_seconds or 0) < begun_at + 1:
    time.sleep(0.01)
end = microphone.sound.end_seconds
samples = microphone.sound.read(end - 1, end)
microphone.close()
print(microphone.state, abs(samples).max(axis=0).round(2), float(end) - time.monotonic() < 0.5)
"""
ALSA = """
pcm.file {{ type file  slave.pcm "null"  file "/dev/null"  infile "{}"  format raw }}
pcm.pipe {{ type plug  slave {{ pcm "file"  format S16_LE  rate 44100  channels 1 }} }}
"""


@pytest.mark.skipif(sys.platform != "linux" or not importlib.util.find_spec("sounddevice"), reason="needs ALSA and sounddevice")
def test_real_portaudio_with_a_pipe_as_the_sound_card(tmp_path: Path) -> None:
    try:
        import sounddevice  # noqa: F401
    except OSError as error:
        pytest.skip(str(error))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / ".asoundrc").write_text(ALSA.format(pipe))
    writing = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    listening = subprocess.Popen(
        [sys.executable, "-c", LISTEN], env=os.environ | {"HOME": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    )
    begun_at, written = time.monotonic(), 0
    try:
        while listening.poll() is None and time.monotonic() < begun_at + 60:
            if written / 44_100 < time.monotonic() - begun_at:  # in real time, as a sound card
                try:
                    os.write(writing, np.full(441, 8192, "<i2").tobytes())  # constant: ALSA repeats old samples after short reads
                    written += 441
                except BlockingIOError:
                    time.sleep(0.005)
            else:
                time.sleep(0.005)
    finally:
        listening.kill()
        os.close(writing)
    assert listening.stdout is not None
    assert listening.stdout.read() == " [0.25 0.25] True\n"
