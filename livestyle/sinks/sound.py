"""Sound that an output cannot hold as it is: decoded, resampled and encoded again."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import CodecContext
from av.container import OutputContainer
from av.packet import Packet
from numpy.typing import NDArray

from livestyle.sinks.cut import Window

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""What is tried by the number of channels; an encoder that refuses it gets 5.1 or stereo."""

AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000)

BIT_RATE_PER_CHANNEL = 96_000

TOLERANCE_SECONDS = Fraction(1, 50)
"""Times that differ less from the number of samples are rounded ones, not gaps or overlaps."""


class SoundEncoder:
    """Encodes frames of any format at their times.

    Where the format changes, they are resampled to the encoder's. A gap stays a gap, with silence up to the end of the
    packet before it. Of frames that overlap earlier ones, the part that overlaps is left out.

    encoder: opened, with a fixed frame size. The times of its packets are those of the input less the window's origin.
    """

    def __init__(self, encoder: AudioCodecContext, window: Window) -> None:
        self._encoder = encoder
        self._window = window
        self._resampler: AudioResampler | None = None
        self._resampled_from: tuple[str, str, int] | None = None
        self._samples: NDArray[Any] = np.zeros((encoder.layout.nb_channels, 0))
        self._position: int | None = None  # of the first of these samples in the output

    def encode(self, frame: AudioFrame) -> Iterator["Packet[Any]"]:
        """The packets that this frame completes. Frames outside of the window give none."""
        if frame.pts is not None and frame.time_base is not None:
            if not self._window.holds(frame.pts * frame.time_base):
                return
            frame.pts -= round(self._window.origin_seconds / frame.time_base)
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._resampled_from:
            yield from self._flush_resampler()
            encoder = self._encoder
            self._resampler = AudioResampler(encoder.format, encoder.layout, encoder.sample_rate)
            self._resampled_from = source
        assert self._resampler is not None
        for resampled in self._resampler.resample(frame):
            yield from self._append(resampled)

    def finish(self) -> Iterator["Packet[Any]"]:
        """The last packets."""
        yield from self._flush_resampler()
        if self._samples.shape[1]:
            yield from self._take(self._samples.shape[1])
        yield from self._encoder.encode(None)

    def _flush_resampler(self) -> Iterator["Packet[Any]"]:
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                if frame is not None:  # of a resampler that changes nothing
                    yield from self._append(frame)

    def _append(self, frame: AudioFrame) -> Iterator["Packet[Any]"]:
        samples = frame.to_ndarray()  # (channels, n), or packed: (1, n * channels)
        if not frame.format.is_planar:
            samples = samples.reshape(-1, self._encoder.layout.nb_channels).T  # (channels, n)
        rate, size = self._encoder.sample_rate, self._encoder.frame_size
        begin = None
        if frame.pts is not None and frame.time_base is not None:
            begin = round(frame.pts * frame.time_base * rate)
        if self._position is None:
            self._position = begin or 0
        end = self._position + self._samples.shape[1]
        if begin is None:
            begin = end
        if begin - end > TOLERANCE_SECONDS * rate:
            silence = min(begin - end, -self._samples.shape[1] % size)
            self._join(np.zeros((samples.shape[0], silence), samples.dtype))
            yield from self._take_whole_frames()
            if not self._samples.shape[1]:
                self._position = begin
        elif end - begin > TOLERANCE_SECONDS * rate:
            samples = samples[:, end - begin :]
        self._join(samples)
        yield from self._take_whole_frames()

    def _join(self, samples: NDArray[Any]) -> None:
        self._samples = np.concatenate([self._samples.astype(samples.dtype, copy=False), samples], axis=1)

    def _take_whole_frames(self) -> Iterator["Packet[Any]"]:
        while self._samples.shape[1] >= self._encoder.frame_size:
            yield from self._take(self._encoder.frame_size)

    def _take(self, count: int) -> Iterator["Packet[Any]"]:
        assert self._position is not None
        taken, self._samples = self._samples[:, :count], self._samples[:, count:]
        encoder = self._encoder
        rows = taken if encoder.format.is_planar else taken.T.reshape(1, -1)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(rows), format=encoder.format.name, layout=encoder.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = encoder.sample_rate, Fraction(1, encoder.sample_rate), self._position
        self._position += count
        yield from encoder.encode(frame)


class ConvertedSound:
    """Decoded and encoded again.

    first: the first frame that can be decoded; the output's rate and layout are chosen after it. Raises ValueError or
    FFmpegError if the codec cannot encode it.
    """

    def __init__(self, stream: AudioStream, output: OutputContainer, codec: str, window: Window, first: AudioFrame) -> None:
        self._decoder = stream.codec_context
        rate = first.sample_rate if codec == "aac" and first.sample_rate in AAC_RATES else 48_000
        self.layout = _choose_layout(codec, rate, first)
        self.stream = cast(AudioStream, output.add_stream(codec, rate=rate))
        encoder = self.stream.codec_context
        encoder.layout = self.layout
        self.channels = encoder.layout.nb_channels
        encoder.bit_rate = BIT_RATE_PER_CHANNEL * encoder.layout.nb_channels
        encoder.open()
        self._encoder = SoundEncoder(encoder, window)

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        yield from self._encode(self._decoder.decode(packet))

    def finish(self) -> Iterator["Packet[Any]"]:
        yield from self._encode(self._decoder.decode(None))
        for ready in self._encoder.finish():
            ready.stream = self.stream
            yield ready

    def _encode(self, frames: list[AudioFrame]) -> Iterator["Packet[Any]"]:
        for frame in frames:
            for ready in self._encoder.encode(frame):
                ready.stream = self.stream
                yield ready


def open_encoder(codec: str, rate: int, layout: str) -> AudioCodecContext:
    """An encoder of its own, of no stream. Raises ValueError or FFmpegError if the codec has no such rate or layout."""
    encoder = cast(AudioCodecContext, CodecContext.create(codec, "w"))
    assert encoder.codec.audio_formats is not None
    encoder.format, encoder.sample_rate, encoder.layout = encoder.codec.audio_formats[0], rate, layout
    encoder.bit_rate = BIT_RATE_PER_CHANNEL * encoder.layout.nb_channels
    encoder.open()
    return encoder


def _choose_layout(codec: str, rate: int, first: AudioFrame) -> str:
    """The layout nearest to the frame's that the encoder takes and the resampler can mix."""
    count = first.layout.nb_channels
    refused: Exception = ValueError(f"no layout for {count} channels")
    for layout in dict.fromkeys((LAYOUTS.get(count, "7.1"), "5.1" if count > 5 else "stereo", "stereo")):
        try:
            encoder = open_encoder(codec, rate, layout)
            AudioResampler(encoder.format, layout, rate).resample(first)
        except (av.FFmpegError, ValueError) as error:
            refused = error
            continue
        return layout
    raise refused
