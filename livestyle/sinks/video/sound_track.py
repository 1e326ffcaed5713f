"""The audio track of a live recording or stream: the sound of the source, encoded."""

from collections import deque
from fractions import Fraction
from statistics import median
from typing import Any, cast

from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.packet import Packet

from livestyle.frame import Frame
from livestyle.sinks.video.audio import BIT_RATE_PER_CHANNEL, PACKED, AudioEncoder
from livestyle.sinks.video.containers import Container
from livestyle.sinks.video.time_range import TimeRange
from livestyle.sound import CHANNELS, RATE, Sound

LATEST_SECONDS = 1
"""Sound that arrives later than this after the picture it belongs to is replaced by silence."""
COMPARED_FRAMES = 9
"""The sound has a step if the median offset between its clock and the picture's, over so many frames, is larger than
LARGEST_OFFSET. A single frame that arrives late must not break the sound."""
LARGEST_OFFSET, STEP = RATE // 50, RATE // 4
"""In samples. A single offset larger than STEP is a step at once."""


class SoundTrack:
    """Encodes the sound of the frames that are written to an output, in time with them.

    What lies between two frames in the output is the sound that ends with the later frame's `sound_seconds`: after a pause or
    a step of the source's clock, the sound has the same step. Sound may arrive later than its frame.

    Construct it after the video stream was added to the output, before the header is written. Raises FFmpegError.
    """

    def __init__(self, sound: Sound, output: OutputContainer, container: Container) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._sound, self._output = sound, output
        self._stream = output.add_stream(container.audio_encoder, rate=RATE)
        encoder = cast(AudioCodecContext, self._stream.codec_context)
        encoder.layout = "stereo"
        encoder.bit_rate = CHANNELS * BIT_RATE_PER_CHANNEL
        encoder.open()
        self._encoder = AudioEncoder(encoder, TimeRange(Fraction(0)))
        self._wanted: deque[tuple[int, int]] = deque()  # begin and end in the sound's clock, in samples; not encoded yet
        self._wanted_count = 0  # samples in all of these
        self._packets: deque[Packet[Any]] = deque()  # encoded, but later than the last video packet
        self._written = 0  # samples that were encoded
        self._out_end: int | None = None  # end in the output of what is wanted, in samples; None before the first frame
        self._sound_end = 0  # its end on the sound's clock
        self._offsets = deque[int](maxlen=COMPARED_FRAMES)  # of the sound's clock, in samples

    def follow(self, frame: Frame) -> None:
        """Encode the sound up to this frame. Its pts_seconds is its time in the output, where the first frame is at 0."""
        if frame.sound_seconds is None:
            return
        out_end, sound_end = round(frame.pts_seconds * RATE), round(frame.sound_seconds * RATE)
        count = 0 if self._out_end is None else out_end - self._out_end
        self._out_end = out_end
        if count > 0:
            begin = self._begin(sound_end - count)
            sound_end = begin + count
            # a second at a time: after the process was suspended for hours, the gap would not fit in memory
            self._wanted += [(start, min(start + RATE, sound_end)) for start in range(begin, sound_end, RATE)]
            self._wanted_count += count
        self._sound_end = sound_end
        self._encode(end_is_known=False)

    def _begin(self, begin: int) -> int:
        """Where the sound of the next frame begins: at the end of the last one's, unless the clocks have moved apart."""
        offset = begin - self._sound_end
        self._offsets.append(offset)
        if abs(offset) <= STEP:  # otherwise a pause, or a step of the source's clock
            offset = round(median(self._offsets)) if len(self._offsets) == COMPARED_FRAMES else 0
            if abs(offset) <= LARGEST_OFFSET:
                return self._sound_end
        self._offsets.clear()
        return self._sound_end + offset

    def _encode(self, end_is_known: bool) -> None:
        end_seconds = self._sound.end_seconds
        available = 0 if end_seconds is None else round(end_seconds * RATE)
        while self._wanted:
            begin, end = self._wanted[0]
            is_late = self._wanted_count > LATEST_SECONDS * RATE
            if not (end <= available or is_late or end_is_known):
                return
            self._wanted.popleft()
            self._wanted_count -= end - begin
            samples = self._sound.read(Fraction(begin, RATE), Fraction(end, RATE))  # (n, 2)
            frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format=PACKED, layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self._written, Fraction(1, RATE)
            self._written += end - begin
            self._packets += self._encoder.encode(frame)

    def write_until(self, seconds: Fraction | None) -> None:
        """Mux the packets up to that time of the output; None: all that are left, with the sound of the last frame."""
        if seconds is None:
            self._encode(end_is_known=True)
            self._packets += self._encoder.finish()
        self._output.start_encoding()  # the header sets the time bases of the output's streams
        while self._packets and (seconds is None or _time(self._packets[0]) <= seconds):
            packet = self._packets.popleft()
            packet.stream = self._stream
            self._output.mux(packet)

    def close(self) -> None:
        pass


def _time(packet: "Packet[Any]") -> Fraction:
    return Fraction(0) if packet.pts is None else packet.pts * packet.time_base
