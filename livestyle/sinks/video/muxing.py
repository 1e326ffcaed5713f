"""Encodes and muxes video: gives frames increasing times and packets their durations, and interleaves the tracks."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestyle.frame import Frame
from livestyle.sinks.video.containers import Container
from livestyle.sinks.video.encoders import Encoding


class OtherTracks(Protocol):
    """All tracks of an output except its video."""

    notes: list[str]
    """Informational; no data was lost."""
    damage: list[str]
    """Parts of the tracks that were lost."""

    def write_until(self, seconds: Fraction | None) -> None:
        """Mux all packets up to that time of the output; None: all that are left. Raises OSError if the disk fails."""

    def close(self) -> None:
        """Close what the tracks are read from. Idempotent."""


OpenTracks = Callable[[OutputContainer], OtherTracks]


class FrameTimes:
    """Rounds the times of frames to whole ticks that strictly increase.

    A frame that is not after the previous one is moved to one tick after it: no frame is dropped.
    """

    def __init__(self, time_base: Fraction, rate: Fraction) -> None:
        self.latest_ticks: int | None = None
        """Time of the latest frame in ticks; None before the first frame."""
        self.latest_duration_seconds = 1 / rate
        """How long the latest frame is shown."""
        self.corrected = 0
        """Number of frames whose time was moved, as it did not increase."""
        self._time_base = time_base
        self._rate = rate

    def ticks(self, frame: Frame) -> int:
        """The time of the next frame, in ticks."""
        ticks = round(frame.pts_seconds / self._time_base)
        if self.latest_ticks is not None and ticks <= self.latest_ticks:
            ticks = self.latest_ticks + 1
            self.corrected += 1
        self.latest_ticks = ticks
        self.latest_duration_seconds = frame.duration_seconds or 1 / self._rate
        return ticks

    def latest_duration_ticks(self, time_base: Fraction) -> int:
        """How long the latest frame is shown, in ticks of `time_base` (seconds per tick): at least 1."""
        return max(1, round(self.latest_duration_seconds / time_base))


class Muxer:
    """An open output with a video stream and tracks, whose packets it interleaves by time.

    target: the URL of a file, or a file object with a method `write`.
    open_tracks: adds the tracks to the output, before its header is written; None for none. extradata: the codec's headers,
    where packets are copied instead of encoded. Raises FFmpegError or OSError if the header cannot be written.
    """

    def __init__(
        self,
        target: Any,
        container: Container,
        options: dict[str, str],
        encoding: Encoding,
        open_tracks: OpenTracks | None,
        extradata: bytes | None = None,
    ) -> None:
        self.packet_count = 0
        """Number of video packets that were muxed."""
        self.end_seconds = Fraction(0)
        """Time at which the last video packet that was muxed ends."""
        self.tracks: OtherTracks | None = None
        self._output = av.open(target, "w", format=container.format, container_options=options)
        try:
            self.video: VideoStream = encoding.add_stream(self._output, container)
            if extradata is not None:
                self.video.codec_context.extradata = extradata
            if open_tracks is not None:
                self.tracks = open_tracks(self._output)
            self._output.start_encoding()
        except BaseException:
            self.abort()
            raise

    def mux(self, packet: "Packet[Any]") -> None:
        """Write what the tracks hold up to the packet's time, then the packet."""
        if self.tracks is not None:
            self.tracks.write_until(decoding_ticks(packet) * packet.time_base)
        packet.stream = self.video
        self._output.mux(packet)
        self.packet_count += 1
        if packet.pts is not None:
            self.end_seconds = max(self.end_seconds, (packet.pts + (packet.duration or 0)) * packet.time_base)

    def finish(self) -> None:
        """Write the rest of the tracks and the trailer, and close."""
        if self.tracks is not None:
            self.tracks.write_until(None)
        self._output.close()
        if self.tracks is not None:
            self.tracks.close()

    def abort(self) -> bool:
        """Close after an error, without the rest of the tracks. Returns whether all muxed packets were written."""
        try:
            self._output.close()
        except (av.FFmpegError, OSError):
            return False
        finally:
            if self.tracks is not None:
                self.tracks.close()
        return True


class VideoTrack:
    """Encodes frames into the video stream of a muxer.

    FFmpeg derives the duration of most packets from the time of the next one. The others get theirs here: in Matroska the
    last one; in fragments each one, as audio may end a fragment, which then has to state how long its last frame lasts.
    """

    def __init__(self, muxer: Muxer, container: Container, times: FrameTimes, time_base: Fraction) -> None:
        self._muxer = muxer
        self._times = times
        self._time_base = time_base
        self._fragmented = container.fragmented
        self._pending: Packet[Any] | None = None
        """In fragments: the latest packet, held back until the next one tells its duration."""

    def write(self, frame: VideoFrame) -> None:
        """Encode a frame, and mux the packets that are ready."""
        self._mux(self._muxer.video.encode(frame))

    def flush(self) -> None:
        """Mux what is still inside the encoder."""
        self._mux(self._muxer.video.encode(None))
        if self._pending is not None:
            self._pending.duration = self._times.latest_duration_ticks(self._time_base)
            self._muxer.mux(self._pending)
            self._pending = None

    def _mux(self, packets: "list[Packet[Any]]") -> None:
        for packet in packets:
            if self._fragmented and self._muxer.tracks is not None:
                if self._pending is not None:
                    self._pending.duration = decoding_ticks(packet) - decoding_ticks(self._pending)
                    self._muxer.mux(self._pending)
                self._pending = packet
            else:
                if not self._fragmented and packet.pts == self._times.latest_ticks:
                    packet.duration = self._times.latest_duration_ticks(packet.time_base)
                self._muxer.mux(packet)


def decoding_ticks(packet: "Packet[Any]") -> int:
    """The packet's decoding time in ticks of its time base."""
    assert packet.dts is not None  # every encoder sets it, and so do fragments
    return packet.dts
