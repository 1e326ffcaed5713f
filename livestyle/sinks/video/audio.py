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
from av.stream import Stream
from numpy.typing import NDArray

from livestyle.sinks.video.time_range import TimeRange

LAYOUTS = {
    1: ("mono",),
    2: ("stereo",),
    3: ("3.0",),
    4: ("4.0", "quad"),  # AAC's, Opus's
    5: ("5.0",),
    6: ("5.1",),
    7: ("6.1",),
}
"""By the number of channels: what an encoder gets if it takes it. More channels become 7.1; what is refused 5.1 or stereo."""

AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000)

BIT_RATE_PER_CHANNEL = 96_000

PACKED = "flt"
"""Samples of all channels in one plane; PyAV 18 reads past the end of the planes where there are eight. Encoders convert it."""

TOLERANCE_SECONDS = Fraction(1, 50)
"""Times that differ less from the number of samples are rounded ones, not gaps or overlaps."""


class SoundEncoder:
    """Encodes frames of any format at their times.

    Where the format changes, they are resampled to the encoder's. A gap stays a gap, with silence up to the end of the
    packet before it. Of frames that overlap earlier ones, the part that overlaps is left out.

    encoder: opened, with a fixed frame size. The times of its packets are those of the input less the window's origin.
    """

    def __init__(self, encoder: AudioCodecContext, window: TimeRange) -> None:
        self._encoder = encoder
        self._window = window
        self._resampler: AudioResampler | None = None
        self._resampled_from: tuple[str, str, int] | None = None
        self._samples = np.zeros((0, encoder.layout.nb_channels), np.float32)  # (n, channels)
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
            self._resampler = AudioResampler(PACKED, encoder.layout, encoder.sample_rate)
            self._resampled_from = source
        assert self._resampler is not None
        for resampled in self._resampler.resample(frame):
            yield from self._append(resampled)

    def finish(self) -> Iterator["Packet[Any]"]:
        """The last packets."""
        yield from self._flush_resampler()
        if len(self._samples):
            yield from self._take(len(self._samples))
        yield from self._encoder.encode(None)

    def _flush_resampler(self) -> Iterator["Packet[Any]"]:
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                if frame is not None:  # of a resampler that changes nothing
                    yield from self._append(frame)

    def _append(self, frame: AudioFrame) -> Iterator["Packet[Any]"]:
        samples = cast(NDArray[np.float32], frame.to_ndarray()).reshape(-1, self._samples.shape[1])  # (n, channels)
        rate, size = self._encoder.sample_rate, self._encoder.frame_size
        begin = None
        if frame.pts is not None and frame.time_base is not None:
            begin = round(frame.pts * frame.time_base * rate)
        if self._position is None:
            self._position = begin or 0
        end = self._position + len(self._samples)
        if begin is None:
            begin = end
        if begin - end > TOLERANCE_SECONDS * rate:
            silence = min(begin - end, -len(self._samples) % size)
            self._join(np.zeros((silence, samples.shape[1]), np.float32))
            yield from self._take_whole_frames()
            if not len(self._samples):
                self._position = begin
        elif end - begin > TOLERANCE_SECONDS * rate:
            samples = samples[end - begin :]
        self._join(samples)
        yield from self._take_whole_frames()

    def _join(self, samples: NDArray[np.float32]) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def _take_whole_frames(self) -> Iterator["Packet[Any]"]:
        while len(self._samples) >= self._encoder.frame_size:
            yield from self._take(self._encoder.frame_size)

    def _take(self, count: int) -> Iterator["Packet[Any]"]:
        assert self._position is not None
        taken, self._samples = self._samples[:count], self._samples[count:]
        frame = AudioFrame.from_ndarray(taken.reshape(1, -1), format=PACKED, layout=self._encoder.layout.name)
        frame.sample_rate, frame.pts = self._encoder.sample_rate, self._position
        frame.time_base = Fraction(1, self._encoder.sample_rate)
        self._position += count
        yield from self._encoder.encode(frame)


class ConvertedSound:
    """Decoded and encoded again.

    first: the first frame that can be decoded; the output's rate and layout are chosen after it. Raises ValueError or
    FFmpegError if the codec cannot encode it.
    """

    def __init__(self, stream: AudioStream, output: OutputContainer, codec: str, window: TimeRange, first: AudioFrame) -> None:
        self._decoder = stream.codec_context
        rate = first.sample_rate if codec == "aac" and first.sample_rate in AAC_RATES else 48_000
        self.layout = _choose_layout(codec, rate, first)
        self.stream: Stream = output.add_stream(codec, rate=rate)
        encoder = cast(AudioCodecContext, self.stream.codec_context)
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
    layouts: tuple[str, ...] = (*LAYOUTS.get(count, ("7.1",)), *(("5.1",) if count > 5 else ()), "stereo")
    for layout in layouts:
        try:
            open_encoder(codec, rate, layout)
            AudioResampler(PACKED, layout, rate).resample(first)
        except (av.FFmpegError, ValueError) as error:
            refused = error
            continue
        return layout
    raise refused
