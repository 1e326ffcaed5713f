"""Decode audio into a `Sound`."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from livestyle.errors import InputError
from livestyle.frame import FloatArray
from livestyle.media import open_media
from livestyle.sound import CHANNELS, RATE, Sound
from livestyle.timeline import Timeline, seek_before

PACKED = "flt"
"""Interleaved float samples."""
MAX_ERRORS_IN_A_ROW = 100


class Resampled:
    """Converts decoded audio to 48 kHz stereo. The format of the audio may change."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None

    def blocks(self, frame: AudioFrame) -> list[FloatArray]:
        """The samples of a frame, as arrays (N, 2) float32. The resampler may hold back some of them."""
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or found != self._format:
            self._resampler, self._format = AudioResampler(PACKED, "stereo", RATE), found
        return [
            np.asarray(resampled.to_ndarray(), np.float32).reshape(-1, CHANNELS)
            for resampled in self._resampler.resample(frame)
            if resampled is not None  # PyAV returns [None] where both formats are equal
        ]


class FileAudio:
    """The audio of a file, decoded in step with its frames.

    begin_seconds: the time in the file at which it starts. Raises InputError if the file cannot be read.
    """

    def __init__(self, path: Path, begin_seconds: Fraction) -> None:
        self.damage: list[str] = []
        self._path, self._begin = path, begin_seconds
        self._container = open_media(path)
        self._resampled = Resampled()
        self._blocks = self._decode()
        self._rest: tuple[int, FloatArray] | None = None  # decoded already: the first sample's number, and samples

    @property
    def has_audio(self) -> bool:
        """Whether the file has an audio stream that can be decoded."""
        return bool(_audio_streams(self._container))

    def add_until(self, seconds: Fraction, sound: Sound, offset_seconds: Fraction = Fraction(0)) -> None:
        """Decode up to this time, and add it to a sound.

        seconds: counted from begin_seconds. offset_seconds: added to the times in the sound.
        """
        end = round(seconds * RATE)
        while True:
            block = self._rest or next(self._blocks, None)
            if block is None:
                return
            first, samples = block
            count = max(0, min(end - first, len(samples)))
            if count:
                sound.add(offset_seconds + Fraction(first, RATE), samples[:count])
            self._rest = (first + count, samples[count:]) if count < len(samples) else None
            if self._rest is not None:
                return

    def close(self) -> None:
        self._blocks.close()
        self._container.close()

    def _decode(self) -> Generator[tuple[int, FloatArray]]:
        streams = _audio_streams(self._container)
        if not streams:
            return
        stream = streams[0]
        seek_before(self._container, self._begin)
        position: int | None = None
        for frame in self._frames(stream):
            if frame.pts is None or frame.time_base is None:
                continue
            begin = round((frame.pts * frame.time_base - self._begin) * RATE)
            # the resampler's delay and the rounding of times make no gaps
            if position is None or abs(begin - position) > RATE // 20:
                position = begin
            for samples in self._resampled.blocks(frame):
                skipped = max(0, -position)  # before the beginning
                if skipped < len(samples):
                    yield position + skipped, samples[skipped:]
                position += len(samples)

    def _frames(self, stream: AudioStream) -> Iterator[AudioFrame]:
        timeline = Timeline(self._container.format.name)
        errors = 0
        while errors < MAX_ERRORS_IN_A_ROW:
            try:
                for packet in timeline.demux(self._container):
                    errors = 0
                    if packet.stream.index == stream.index:
                        with suppress(av.InvalidDataError):  # this packet is silent
                            yield from stream.codec_context.decode(packet)
                return
            except av.FFmpegError as error:
                if not self.damage:
                    self.damage.append(f"the sound of {self._path} could not be read throughout: {error.strerror}")
                errors += 1


def _audio_streams(container: InputContainer) -> list[AudioStream]:
    return [stream for stream in container.streams.audio if stream.codec_context is not None]


def open_audio(path: Path, begin_seconds: Fraction) -> FileAudio | None:
    """Open the audio of a file; None if it has none."""
    try:
        audio = FileAudio(path, begin_seconds)
    except InputError:  # an animated picture
        return None
    if audio.has_audio:
        return audio
    audio.close()
    return None
