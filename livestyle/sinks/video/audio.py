"""Audio that the output cannot hold as it is: decoded, resampled and encoded."""

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
    4: ("4.0", "quad"),  # for AAC, for Opus
    5: ("5.0",),
    6: ("5.1",),
    7: ("6.1",),
}
"""Channel layouts to try, by the number of channels. More channels are tried as 7.1.

If the encoder refuses all of these, 5.1 (from more than five channels) and then stereo are tried.
"""

AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000)
"""Sample rates that are kept when encoding AAC, in Hz; others become 48 kHz."""

BIT_RATE_PER_CHANNEL = 96_000
"""Bit rate of encoded audio per channel, in bits per second."""

PACKED = "flt"
"""Interleaved float samples, which encoders convert to their own format.

Planar samples are not used, as PyAV 18 reads past the end of eight planes.
"""

TOLERANCE_SECONDS = Fraction(1, 50)
"""Audio times are rounded: a frame that begins at most this long before or after the end of the last one follows it directly."""


class AudioEncoder:
    """Encodes audio frames of any format, and keeps their times.

    Frames are resampled to the encoder's format. A gap stays a gap: only the packet before it is filled up with silence. The
    part of a frame that overlaps earlier ones is cut off.

    encoder: an open encoder with a fixed frame size. time_range: frames outside are skipped; its origin becomes time 0.
    """

    def __init__(self, encoder: AudioCodecContext, time_range: TimeRange) -> None:
        self._encoder = encoder
        self._time_range = time_range
        self._resampler: AudioResampler | None = None
        self._resampled_from: tuple[str, str, int] | None = None
        self._samples = np.zeros((0, encoder.layout.nb_channels), np.float32)  # (n, channels), not encoded yet
        self._position: int | None = None  # time of the first of these samples, counted in samples from time 0

    def encode(self, frame: AudioFrame) -> Iterator["Packet[Any]"]:
        """The packets that this frame completes; none if it is outside the time range."""
        if frame.pts is not None and frame.time_base is not None:
            if frame.pts * frame.time_base not in self._time_range:
                return
            frame.pts -= round(self._time_range.origin_seconds / frame.time_base)
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
        """The packets of all samples that are buffered."""
        yield from self._flush_resampler()
        if len(self._samples):
            yield from self._encode_samples(len(self._samples))
        yield from self._encoder.encode(None)

    def _flush_resampler(self) -> Iterator["Packet[Any]"]:
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                if frame is not None:  # PyAV returns [None] where input and output formats are equal
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
            self._buffer(np.zeros((silence, samples.shape[1]), np.float32))
            yield from self._encode_whole_frames()
            if not len(self._samples):
                self._position = begin
        elif end - begin > TOLERANCE_SECONDS * rate:
            samples = samples[end - begin :]
        self._buffer(samples)
        yield from self._encode_whole_frames()

    def _buffer(self, samples: NDArray[np.float32]) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def _encode_whole_frames(self) -> Iterator["Packet[Any]"]:
        while len(self._samples) >= self._encoder.frame_size:
            yield from self._encode_samples(self._encoder.frame_size)

    def _encode_samples(self, count: int) -> Iterator["Packet[Any]"]:
        assert self._position is not None
        taken, self._samples = self._samples[:count], self._samples[count:]
        frame = AudioFrame.from_ndarray(taken.reshape(1, -1), format=PACKED, layout=self._encoder.layout.name)
        frame.sample_rate, frame.pts = self._encoder.sample_rate, self._position
        frame.time_base = Fraction(1, self._encoder.sample_rate)
        self._position += count
        yield from self._encoder.encode(frame)


class ConvertedAudioTrack:
    """Decodes a stream and encodes it with another codec.

    first: the first frame that can be decoded. Its channel layout is kept if the codec has it; else the nearest is used. Its
    sample rate is kept if the codec is AAC and has it; else it becomes 48 kHz.

    Raises ValueError or FFmpegError if the codec cannot encode the frame.
    """

    def __init__(
        self, stream: AudioStream, output: OutputContainer, codec: str, time_range: TimeRange, first: AudioFrame
    ) -> None:
        self._decoder = stream.codec_context
        rate = first.sample_rate if codec == "aac" and first.sample_rate in AAC_RATES else 48_000
        self.layout = _choose_layout(codec, rate, first)
        self.stream: Stream = output.add_stream(codec, rate=rate)
        encoder = cast(AudioCodecContext, self.stream.codec_context)
        encoder.layout = self.layout
        self.channels = encoder.layout.nb_channels
        encoder.bit_rate = BIT_RATE_PER_CHANNEL * encoder.layout.nb_channels
        encoder.open()
        self._encoder = AudioEncoder(encoder, time_range)

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


def open_audio_encoder(codec: str, rate: int, layout: str) -> AudioCodecContext:
    """An open encoder that belongs to no stream. Raises ValueError or FFmpegError if it refuses the rate or the layout."""
    encoder = cast(AudioCodecContext, CodecContext.create(codec, "w"))
    assert encoder.codec.audio_formats is not None
    encoder.format, encoder.sample_rate, encoder.layout = encoder.codec.audio_formats[0], rate, layout
    encoder.bit_rate = BIT_RATE_PER_CHANNEL * encoder.layout.nb_channels
    encoder.open()
    return encoder


def _choose_layout(codec: str, rate: int, first: AudioFrame) -> str:
    """The layout nearest to the frame's that the encoder accepts and the resampler can mix to.

    Raises the error of the last attempt, a ValueError or FFmpegError, if there is none.
    """
    count = first.layout.nb_channels
    refused: Exception = ValueError(f"no layout for {count} channels")
    layouts: tuple[str, ...] = (*LAYOUTS.get(count, ("7.1",)), *(("5.1",) if count > 5 else ()), "stereo")
    for layout in layouts:
        try:
            open_audio_encoder(codec, rate, layout)
            AudioResampler(PACKED, layout, rate).resample(first)
        except (av.FFmpegError, ValueError) as error:
            refused = error
            continue
        return layout
    raise refused
