"""The sound of a microphone or another sound input, by PortAudio (the package sounddevice, extra `sound`)."""

import time
from collections.abc import Callable
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from livestyle.errors import DeviceError
from livestyle.frame import FloatArray
from livestyle.sound import CHANNELS, RATE, Sound

LATENCY_SECONDS = 0.05
"""Size of the device's buffer. With a shorter one, samples are lost while all cores paint."""
SILENT_SECONDS, LOST_SECONDS = 5.0, 2.0
"""After this long with zeros only, the microphone counts as silent; after this long without a block, as lost."""
SMOOTHING = 0.02
"""Weight of a block in the mean offset between the clock and the samples. One late callback must not shift the sound."""
LARGEST_OFFSET, STRETCHED_OFFSET = round(0.05 * RATE), round(0.005 * RATE)
"""Mean offsets, in samples: above the first, the sound gets a gap or loses blocks; above the second, blocks are stretched."""
STRETCH = 500
"""A block gets longer or shorter by one in this many samples, 0.2 %: inaudible, and more than sound cards drift."""


class Microphone:
    """Adds what a microphone hears to a Sound, from PortAudio's thread. Times are on the clock of `Frame.captured_at`.

    name: a part of the name of the input device; empty for the default one.
    clock: the time in seconds.

    Raises DeviceError if the package, PortAudio or the device is missing, or if the device cannot be opened.
    """

    def __init__(self, name: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.sound = Sound()
        self._clock = clock
        library = _library()
        device = _device(library, name)
        self.name: str = device["name"]
        self._heard = False  # whether there was a sample that is not 0
        self._end: int | None = None  # in samples since time 0; None before the first block
        self._offset = 0.0  # mean time by which the clock is ahead of the samples, in samples
        self._stream: Any = None
        try:
            channels = min(device["max_input_channels"], CHANNELS)
            self._rate = _rate(library, device, channels)
            self._resample = _resampler(self._rate)
            self._begun_at = self._received_at = clock()
            self._stream = library.InputStream(
                samplerate=self._rate,
                device=device["index"],
                channels=channels,
                dtype="float32",
                latency=LATENCY_SECONDS,
                callback=self._receive,
            )
            self._stream.start()
        except library.PortAudioError as error:
            self.close()
            raise DeviceError(
                f"cannot open the microphone {self.name}: {error}; is it in use by another program, or not permitted?"
            ) from error

    @property
    def outage(self) -> str:
        """Description of the outage if no sound has arrived for 2 s, the same until it ends; otherwise empty."""
        if self._clock() - self._received_at < LOST_SECONDS:
            return ""
        seconds = self._received_at - self._begun_at
        return f"the microphone {self.name} has given no sound since {seconds:.0f} s after the start; is it plugged in?"

    @property
    def state(self) -> str:
        """What is wrong at the moment, to be displayed; empty if nothing is. Any thread may read it."""
        if self.outage:
            return "no sound from the microphone"
        is_silent = not self._heard and self._clock() - self._begun_at > SILENT_SECONDS
        return "the microphone is silent: muted, or not permitted" if is_silent else ""

    def close(self) -> None:
        """Release the device. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()  # ignores errors

    def _receive(self, samples: FloatArray, _count: int, times: Any, _status: object) -> None:
        """Add a block. samples: (N, 1) or (N, 2), valid during the call only."""
        now = self._clock()
        self._received_at = now
        self._heard = self._heard or bool(samples.any())
        age = times.currentTime - times.inputBufferAdcTime
        if not (times.inputBufferAdcTime and 0 <= age < 1):  # some drivers give no times
            age = len(samples) / self._rate
        stereo = samples if samples.shape[1] == CHANNELS else np.repeat(samples, CHANNELS, axis=1)
        self._add(now - age, self._resample(stereo))

    def _add(self, begin_seconds: float, samples: FloatArray) -> None:
        """Add a block so that it continues the one before, and that samples and clock do not drift apart. samples: (N, 2)."""
        begin = round(begin_seconds * RATE)
        end = begin if self._end is None else self._end
        self._offset += SMOOTHING * (begin - end - self._offset)
        if self._offset > LARGEST_OFFSET:  # samples were lost; the gap is silent
            end, self._offset = begin, 0.0
        elif self._offset < -LARGEST_OFFSET:  # the sound must not step back: that would discard what is kept
            self._offset += len(samples)
            return
        elif abs(self._offset) > STRETCHED_OFFSET:
            change = (len(samples) // STRETCH or 1) * (1 if self._offset > 0 else -1)
            samples = _stretched(samples, len(samples) + change)
            self._offset -= change
        self.sound.add(Fraction(end, RATE), samples)
        self._end = end + len(samples)


def _library() -> ModuleType:
    try:
        import sounddevice
    except ImportError as error:
        raise DeviceError("a microphone needs the package sounddevice; pip install 'livestyle[sound]'") from error
    except OSError as error:
        raise DeviceError(
            "a microphone needs the library PortAudio; apt install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora)"
        ) from error
    return sounddevice  # type: ignore[no-any-return,unused-ignore]


def _device(library: ModuleType, name: str) -> dict[str, Any]:
    """The description of an input device. If several have the name, the first one: those of the default driver come first."""
    devices = [device for device in library.query_devices() if device["max_input_channels"] > 0]
    if not devices:
        raise DeviceError("no microphone found; is one plugged in, and permitted?")
    if not name:
        try:
            return dict(library.query_devices(kind="input"))
        except library.PortAudioError:  # no default device
            return dict(devices[0])
    for device in devices:
        if name.casefold() in device["name"].casefold():
            return dict(device)
    raise DeviceError(f"there is no microphone {name}; found: {', '.join(dict.fromkeys(device['name'] for device in devices))}")


def _rate(library: ModuleType, device: dict[str, Any], channels: int) -> int:
    """48,000 Hz if the device or its driver can give that, otherwise the device's own rate."""
    try:
        library.check_input_settings(device["index"], channels, "float32", samplerate=RATE)
    except library.PortAudioError:
        return round(float(device["default_samplerate"]))
    return RATE


def _resampler(rate: int) -> Callable[[FloatArray], FloatArray]:
    """A function that resamples consecutive blocks, (N, 2), from this rate to 48,000 Hz."""
    if rate == RATE:
        return lambda samples: samples
    from av import AudioFrame, AudioResampler

    resampler = AudioResampler("flt", "stereo", RATE)

    def resample(samples: FloatArray) -> FloatArray:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), "flt", "stereo")
        frame.sample_rate = rate
        blocks = [block.to_ndarray().reshape(-1, CHANNELS) for block in resampler.resample(frame)]
        return np.concatenate([np.zeros((0, CHANNELS), np.float32), *blocks])

    return resample


def _stretched(samples: FloatArray, count: int) -> FloatArray:
    """The block with this many samples, interpolated linearly. samples: (N, 2)."""
    places = np.arange(count) * (len(samples) / count)
    channels = [np.interp(places, np.arange(len(samples)), channel) for channel in samples.T]
    return np.stack(channels, axis=1).astype(np.float32)
