"""Frames that a video file contains, by its packets and their times, and that decoding does not give."""

import heapq
from collections import deque
from fractions import Fraction
from typing import Any

from av.packet import Packet

HAS_DENSE_PACKETS = ("matroska", "flv", "avi")
"""Containers in which packets follow one another directly: a hole between two shows that something was skipped."""

LARGEST_HEADER_BYTES = 100
"""Between two packets of such a container."""

FLV_HEADER_BYTES = 11

AUDIO_GAP_SECONDS = Fraction(1, 10)
"""A longer gap in the audio shows that something is lost."""

LEAST_FRAME_BYTES = 20
"""A smaller packet only repeats the frame before it."""

UNEVEN = Fraction(3, 2)
"""A step between two frames is a gap from this multiple of the usual step on."""

REORDERING_SECONDS = Fraction(1, 2)
"""Largest distance in time between a packet and what was lost next to it in the file."""

MOST_OUT_OF_ORDER = 16

FEW = 5
"""Fewer steps between frames do not tell the usual one."""

JOINT_SECONDS = 1
"""This close to a jump of the clock, nothing counts as lost."""


class Losses:
    """Compares frames with packets and their times, while both arrive.

    A gap between two frames alone is no loss: screen recordings are full of gaps. It is one where the file shows at the same
    place that something is missing: a packet without a frame, bytes that the demuxer skipped, packets marked as corrupt.

    frame_seconds: duration of a frame that has none. begins_anywhere: the first frames may depend on earlier ones, which were
    not read. counts_from: frames lost before this time do not count.
    """

    def __init__(
        self, container: str, frame_seconds: Fraction | None, begins_anywhere: bool, counts_from: Fraction | None
    ) -> None:
        self.lost = 0
        self.packet_bytes = 0
        """In all packets so far."""
        self.skipped = False
        """Whether the demuxer skipped bytes."""
        self.read_to = 0
        """Position of the end of the last packet, bytes."""
        self._dense = any(name in container for name in HAS_DENSE_PACKETS)
        self._has_empty_packets = "avi" in container  # a hole may be repeated frames
        self._least_header = FLV_HEADER_BYTES if "flv" in container else -(1 << 62)  # several frames may share a position
        self._shows_audio_gaps = container in ("ogg", "asf", "mpeg")  # which have nothing else that shows a loss
        self._audio_end: Fraction | None = None
        self._frame_seconds = frame_seconds or Fraction(0)
        self._steps: deque[Fraction] = deque(maxlen=15)
        """Times between the latest frames."""
        self._begins_anywhere = begins_anywhere
        self._counts_from = counts_from
        self._suspicion = False
        """Something was skipped or corrupt since the last video packet."""
        self._suspect: deque[tuple[Fraction, Fraction]] = deque(maxlen=100)
        """Intervals of time in which something is missing."""
        self._expected: list[Fraction] = []
        """Times of the packets whose frames have not arrived; a heap."""
        self._joint: Fraction | None = None
        """Time of the latest jump of the clock."""
        self._first_key: Fraction | None = None
        """Time of the first packet, if it is a keyframe and every frame from it on is expected."""
        self._last_packet: Fraction | None = None
        self._arrived: list[tuple[Fraction, Fraction]] = []
        """Times and durations of the latest frames; a heap."""
        self._last: tuple[Fraction, Fraction] | None = None
        """Time and duration of the frame that was compared last."""

    def packet(self, packet: "Packet[Any]", is_video: bool, jumped: bool) -> None:
        """Call for every packet of the file, in the order of demuxing. jumped: the clock jumps at this packet."""
        if jumped:
            self._joint = packet.pts * packet.time_base if packet.pts is not None else self._joint
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
        """Whether bytes between the last packet and this one were skipped, and may have been frames."""
        if packet.pos is None or packet.pos < 0:
            return False
        hole = packet.pos - self.read_to if self.read_to else self._least_header
        self.read_to = packet.pos + packet.size
        # less than a header: the demuxer read too far, and went back to look for the next packet
        skipped = self._dense and not self._least_header <= hole <= LARGEST_HEADER_BYTES
        self.skipped |= skipped
        return skipped and not self._has_empty_packets

    def frame(self, time: Fraction, duration: Fraction | None) -> None:
        """Call for every decoded frame. Damaged files give some of them out of order."""
        heapq.heappush(self._arrived, (time, duration or Fraction(0)))
        if len(self._arrived) > MOST_OUT_OF_ORDER:
            self._compare(*heapq.heappop(self._arrived))

    def end(self, end_seconds: Fraction) -> None:
        """Call when the decoder is empty. end_seconds: the end of the file's last packet."""
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
        """The usual time between frames here: the median of the latest steps; of few, the frame's own duration."""
        return sorted(self._steps)[len(self._steps) // 2] if len(self._steps) >= FEW else duration or self._frame_seconds

    def _compare(self, time: Fraction, duration: Fraction) -> None:
        """Count what is lost before this frame. Called in presentation order."""
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
        if not step or self._is_at_joint(last, time):
            return
        missing = round(gap / step) - (last_duration is not None) if last_duration is None or gap > UNEVEN * step else 0
        if not any(low < time and last < high for low, high in self._suspect):
            missing = min(missing, inside)
        if self._counts_from is None or time > self._counts_from:
            self.lost += max(0, missing)

    def _is_at_joint(self, last: Fraction, time: Fraction) -> bool:
        return self._joint is not None and last - JOINT_SECONDS < self._joint < time + JOINT_SECONDS
