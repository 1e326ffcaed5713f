"""Count the lost frames of a video file: frames that its packets and times announce, but that the decoder does not output."""

import heapq
from collections import deque
from fractions import Fraction
from typing import Any

from av.packet import Packet

HAS_DENSE_PACKETS = ("matroska", "flv", "avi")
"""Containers in which packets follow one another directly: where there is a hole between two, the demuxer skipped bytes."""

LARGEST_HEADER_BYTES = 100
"""The longest header between two packets of a container in HAS_DENSE_PACKETS."""

FLV_HEADER_BYTES = 11
"""The shortest header between two packets of an FLV file."""

AUDIO_GAP_SECONDS = Fraction(1, 10)
"""A gap in the audio longer than this is a sign of loss."""

LEAST_FRAME_BYTES = 20
"""A video packet of at most this many bytes is not expected to give a frame: it only repeats the previous one."""

UNEVEN = Fraction(3, 2)
"""The time between two frames is a gap if it is longer than this multiple of the usual one."""

REORDERING_SECONDS = Fraction(1, 2)
"""Frames lost just before or after a packet in the file have presentation times at most this far from the packet's."""

MOST_OUT_OF_ORDER = 16
"""Frames that are held back to put them into presentation order."""

LEAST_STEPS = 5
"""How many times between consecutive frames are needed to take their median."""

JUMP_SECONDS = 1
"""Nothing counts as lost within this time before or after a jump of the file's clock."""


class Losses:
    """Compares the decoded frames with the packets and their times, as both arrive.

    A gap between two frames alone is no loss: screen recordings have many. It is a loss if something is missing from the file
    at the same place: a packet has no frame, the demuxer skipped bytes, or packets are marked as corrupt.

    container: FFmpeg's name of the format. frame_seconds: duration of frames that declare none; None if unknown.
    begins_anywhere: whether the first frames may depend on earlier ones that are not read. counts_from: frames lost before
    this time, in seconds of the file's clock, do not count; None to count all.
    """

    def __init__(
        self, container: str, frame_seconds: Fraction | None, begins_anywhere: bool, counts_from: Fraction | None
    ) -> None:
        self.lost = 0
        """Lost frames so far."""
        self.packet_bytes = 0
        """Total size of all packets so far."""
        self.skipped = False
        """Whether the demuxer skipped bytes."""
        self.read_to = 0
        """Position of the end of the last packet, bytes."""
        self._dense = any(name in container for name in HAS_DENSE_PACKETS)
        self._has_empty_packets = "avi" in container  # a hole may be a series of empty packets, which repeat a frame
        self._least_header = FLV_HEADER_BYTES if "flv" in container else -(1 << 62)  # several frames may share a position
        self._shows_audio_gaps = container in ("ogg", "asf", "mpeg")  # formats in which nothing else indicates a loss
        self._audio_end: Fraction | None = None
        self._frame_seconds = frame_seconds or Fraction(0)
        self._steps: deque[Fraction] = deque(maxlen=15)
        """Time from each frame to the next, of the latest frames; seconds."""
        self._begins_anywhere = begins_anywhere
        self._counts_from = counts_from
        self._suspicion = False
        """Whether something was skipped or corrupt since the last video packet."""
        self._suspect: deque[tuple[Fraction, Fraction]] = deque(maxlen=100)
        """Intervals (begin, end) of presentation time in which something is missing from the file."""
        self._expected: list[Fraction] = []
        """Times of the packets whose frames have not arrived; a heap."""
        self._jump: Fraction | None = None
        """Time of the latest jump of the clock."""
        self._first_key: Fraction | None = None
        """Time of the first video packet if it is a keyframe, so that every frame from it on is expected; else None."""
        self._last_packet: Fraction | None = None
        self._arrived: list[tuple[Fraction, Fraction]] = []
        """Times and durations of the latest frames; a heap."""
        self._last: tuple[Fraction, Fraction] | None = None
        """Time and duration of the frame that was compared with the packets last."""

    def packet(self, packet: "Packet[Any]", is_video: bool, jumped: bool) -> None:
        """Register a packet. Call for every packet of the file, in file order. jumped: whether the clock jumps at this packet."""
        if jumped:
            self._jump = packet.pts * packet.time_base if packet.pts is not None else self._jump
            self._suspicion = False
            self._suspect.clear()
        self.packet_bytes += packet.size
        self._suspicion |= packet.is_corrupt or self._skipped(packet)
        if self._shows_audio_gaps and packet.stream.type == "audio" and packet.pts is not None:
            self._audio(packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base)
        if not is_video or packet.pts is None:
            return
        time = packet.pts * packet.time_base
        if self._last_packet is None and packet.is_keyframe and not packet.is_discard and not self._begins_anywhere:
            self._first_key = time
        if self._suspicion and not jumped:
            before = time if self._last_packet is None else self._last_packet
            self._suspect.append((min(before, time) - REORDERING_SECONDS, max(before, time) + REORDERING_SECONDS))
        self._suspicion = False
        self._last_packet = time
        if packet.size > LEAST_FRAME_BYTES and not packet.is_discard:
            heapq.heappush(self._expected, time)

    def _audio(self, time: Fraction, duration: Fraction) -> None:
        if self._audio_end is not None and time - self._audio_end > AUDIO_GAP_SECONDS:
            self._suspect.append((self._audio_end, time))
        self._audio_end = time + duration if self._audio_end is None else max(self._audio_end, time + duration)

    def _skipped(self, packet: "Packet[Any]") -> bool:
        """Whether the demuxer skipped bytes between the last packet and this one that may have been frames. Updates `read_to`."""
        if packet.pos is None or packet.pos < 0:
            return False
        hole = packet.pos - self.read_to if self.read_to else self._least_header
        self.read_to = packet.pos + packet.size
        # a hole smaller than a header: the demuxer had read too far, and went back to look for the next packet
        skipped = self._dense and not self._least_header <= hole <= LARGEST_HEADER_BYTES
        self.skipped |= skipped
        return skipped and not self._has_empty_packets

    def frame(self, time: Fraction, duration: Fraction | None) -> None:
        """Register a frame. Call for every decoded frame; from damaged files some come out of presentation order."""
        heapq.heappush(self._arrived, (time, duration or Fraction(0)))
        if len(self._arrived) > MOST_OUT_OF_ORDER:
            self._compare(*heapq.heappop(self._arrived))

    def end(self, end_seconds: Fraction) -> None:
        """Count what is lost after the last frame. Call when the decoder is empty. end_seconds: end of the file's last packet."""
        while self._arrived:
            self._compare(*heapq.heappop(self._arrived))
        if self._last is None:
            return
        last, step = self._last[0], self._usual_step(self._last[1])
        if not step:
            return
        # a packet with the second field of a frame, half a step later, gives no frame of its own
        expected = sum(time > last + step * 3 / 4 for time in self._expected)
        if self._suspicion and end_seconds - last > (1 + UNEVEN) * step:
            expected = max(expected, round((end_seconds - last) / step) - 1)
        self.lost += expected

    def _usual_step(self, duration: Fraction) -> Fraction:
        """The usual time between frames: the median of the latest steps, or the frame's duration before LEAST_STEPS steps."""
        return sorted(self._steps)[len(self._steps) // 2] if len(self._steps) >= LEAST_STEPS else duration or self._frame_seconds

    def _compare(self, time: Fraction, duration: Fraction) -> None:
        """Count what is lost between the last frame and this one. Called in presentation order."""
        inside = 0  # expected frames that have not arrived
        last, last_duration = self._last or (self._first_key, None)
        while self._expected and self._expected[0] <= time:
            expected = heapq.heappop(self._expected)
            inside += expected < time and last is not None and (expected > last if self._last else expected >= last)
        self._last = time, duration
        if last is None:
            return
        step = self._usual_step(duration if last_duration is None else last_duration)
        gap = time - last
        if last_duration is not None and gap > 0:
            self._steps.append(gap)
        if not step or self._is_near_jump(last, time):
            return
        missing = round(gap / step) - (last_duration is not None) if last_duration is None or gap > UNEVEN * step else 0
        if not any(low < time and last < high for low, high in self._suspect):
            missing = min(missing, inside)
        if self._counts_from is None or time > self._counts_from:
            self.lost += max(0, missing)

    def _is_near_jump(self, last: Fraction, time: Fraction) -> bool:
        return self._jump is not None and last - JUMP_SECONDS < self._jump < time + JUMP_SECONDS
